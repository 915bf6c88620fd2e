import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense, type ReactNode } from "react";
import { BrowserRouter, Navigate, Outlet, Route, Routes, useLocation } from "react-router";
import { asProblem } from "../api/problem";
import type { Api } from "../api/client";
import { ApiKeysPage } from "../pages/apikeys/ApiKeysPage";
import { EndedPage } from "../pages/Ended";
import { HomePage } from "../pages/Home";
import { NotFoundPage, ProblemPage } from "../pages/Problems";
import { ProfilePage } from "../pages/Profile";
import { SignInPage } from "../pages/SignIn";
import { SignUpPage } from "../pages/SignUp";
import { ApiContext, SessionContext, useSession, useSessionState } from "../session/context";
import type { Session } from "../session/session";
import { Waiting } from "../ui/controls";
import { Toasts } from "../ui/toasts";
import { ErrorBoundary } from "./ErrorBoundary";

// The call brings the WebRTC client with it; signing in should not wait for that.
const RoomPage = lazy(() => import("../call/RoomPage"));
const GuestPage = lazy(() => import("../call/GuestPage"));

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      // A refusal stays a refusal; only an unreachable or unready server is asked again.
      retry: (count, error) => count < 2 && [0, 502, 503, 504].includes(asProblem(error).status),
      staleTime: 5_000,
    },
  },
});

export function App({ session, api }: { session: Session; api: Api }) {
  return (
    <ErrorBoundary>
      <SessionContext value={session}>
        <ApiContext value={api}>
          <QueryClientProvider client={queries}>
            <BrowserRouter>
              <Pages />
            </BrowserRouter>
            <Toasts />
          </QueryClientProvider>
        </ApiContext>
      </SessionContext>
    </ErrorBoundary>
  );
}

function Pages() {
  return (
    <Suspense fallback={<Waiting what="Loading…" />}>
      <Routes>
        <Route element={<SignedOut />}>
          <Route path="/sign-in" element={<SignInPage />} />
          <Route path="/sign-up" element={<SignUpPage />} />
        </Route>
        <Route element={<SignedIn />}>
          <Route path="/" element={<HomePage />} />
          <Route path="/profile" element={<ProfilePage />} />
          <Route path="/api-keys" element={<ApiKeysPage />} />
          <Route path="/rooms/:roomId" element={<RoomPage />} />
        </Route>
        <Route path="/join/:code" element={<Started><GuestPage /></Started>} />
        <Route path="/ended" element={<EndedPage />} />
        <Route path="*" element={<NotFoundPage />} />
      </Routes>
    </Suspense>
  );
}

/** Waits until it is known whether somebody is signed in. */
function Started({ children }: { children: ReactNode }) {
  const session = useSession();
  const state = useSessionState();
  if (state.kind === "starting") return <Waiting what="One moment…" />;
  if (state.kind === "unreachable") return <ProblemPage problem={state.problem} retry={() => void session.start()} />;
  return children;
}

function SignedIn() {
  return (
    <Started>
      <SignedInOutlet />
    </Started>
  );
}

function SignedInOutlet() {
  const state = useSessionState();
  const { pathname } = useLocation();
  if (state.kind === "signed-in") return <Outlet />;
  const expired = state.kind === "signed-out" && state.reason === "expired";
  const wanted = pathname === "/" ? {} : { from: pathname };
  return <Navigate to="/sign-in" replace state={{ ...wanted, expired }} />;
}

function SignedOut() {
  return (
    <Started>
      <SignedOutOutlet />
    </Started>
  );
}

function SignedOutOutlet() {
  const state = useSessionState();
  const location = useLocation();
  if (state.kind !== "signed-in") return <Outlet />;
  return <Navigate to={cameFrom(location.state)} replace />;
}

/** The page a person wanted before we asked them to sign in. */
function cameFrom(state: unknown): string {
  const from = typeof state === "object" && state !== null && "from" in state ? state.from : undefined;
  return typeof from === "string" && from.startsWith("/") ? from : "/";
}

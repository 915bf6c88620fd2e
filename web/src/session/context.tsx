import { createContext, use, useSyncExternalStore } from "react";
import type { Api } from "../api/client";
import type { Session, SessionState, User } from "./session";

export const SessionContext = createContext<Session | null>(null);
export const ApiContext = createContext<Api | null>(null);

export function useSession(): Session {
  const session = use(SessionContext);
  if (!session) throw new Error("useSession is used outside of the application");
  return session;
}

export function useApi(): Api {
  const api = use(ApiContext);
  if (!api) throw new Error("useApi is used outside of the application");
  return api;
}

export function useSessionState(): SessionState {
  const session = useSession();
  return useSyncExternalStore(session.subscribe, () => session.state);
}

export function useUser(): User | undefined {
  const state = useSessionState();
  return state.kind === "signed-in" ? state.user : undefined;
}

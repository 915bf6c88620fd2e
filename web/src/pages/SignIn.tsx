import { CircleAlert, Info } from "lucide-react";
import { Link, useLocation } from "react-router";
import { useTitle } from "../app/useTitle";
import { emailError } from "../lib/rules";
import { useSession } from "../session/context";
import { Button, Field, Notice } from "../ui/controls";
import { AuthShell } from "./AuthShell";
import { textOf, useForm } from "./useForm";

export function SignInPage() {
  useTitle("Sign in");
  const session = useSession();
  const location = useLocation();
  const { form, busy, errors, problem } = useForm(
    (values) => session.signIn(textOf(values, "email").trim(), textOf(values, "password")),
    (values) => ({
      email: emailError(textOf(values, "email")),
      password: textOf(values, "password") ? undefined : "Enter your password.",
    }),
  );
  return (
    <AuthShell>
      <form {...form} className="auth-card">
        <div className="auth-head">
          <h1>Welcome back</h1>
          <p>
            New here? <Link to="/sign-up" state={location.state as unknown}>Create an account</Link>
          </p>
        </div>
        {expired(location.state) && (
          <Notice icon={<Info size={18} />} title="Your session has ended">
            Please sign in again to go on.
          </Notice>
        )}
        {problem && (
          <Notice alert tone="danger" icon={<CircleAlert size={18} />} title={signInTitle(problem.status, problem.message)}>
            {problem.status === 401 ? "Check both and try again." : problem.sentence}
          </Notice>
        )}
        <Field label="E-mail" name="email" type="email" autoComplete="username" error={errors["email"]} required />
        <Field label="Password" name="password" type="password" autoComplete="current-password" error={errors["password"]} required />
        <Button type="submit" look="primary" large wide busy={busy}>
          Sign in
        </Button>
      </form>
    </AuthShell>
  );
}

function signInTitle(status: number, title: string): string {
  return status === 401 ? "E-mail or password is not right" : title;
}

function expired(state: unknown): boolean {
  return typeof state === "object" && state !== null && "expired" in state && state.expired === true;
}

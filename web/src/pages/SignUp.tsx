import { useQuery } from "@tanstack/react-query";
import { CircleAlert, Info } from "lucide-react";
import { Link, useLocation } from "react-router";
import { useTitle } from "../app/useTitle";
import { emailError, nameError, newPasswordError, SHORTEST_PASSWORD } from "../lib/rules";
import { useApi, useSession } from "../session/context";
import { Button, Field, Notice } from "../ui/controls";
import { AuthShell } from "./AuthShell";
import { textOf, useForm } from "./useForm";

export function SignUpPage() {
  useTitle("Create an account");
  const session = useSession();
  const api = useApi();
  const mode = useQuery({ queryKey: ["sign-up mode"], queryFn: () => api.signUpMode(), staleTime: Infinity });
  const location = useLocation();
  const { form, busy, errors, problem } = useForm(
    (values) =>
      session.signUp({
        name: textOf(values, "name").trim(),
        email: textOf(values, "email").trim(),
        password: textOf(values, "password"),
        ...(mode.data?.mode === "invitation" ? { invitation: textOf(values, "invitation").trim() } : {}),
      }),
    (values) => ({
      name: nameError(textOf(values, "name")),
      email: emailError(textOf(values, "email")),
      password: newPasswordError(textOf(values, "password")),
      invitation: mode.data?.mode !== "invitation" || textOf(values, "invitation").trim() ? undefined : "Enter your invitation.",
    }),
  );
  return (
    <AuthShell>
      <form {...form} className="auth-card">
        <div className="auth-head">
          <h1>Create your account</h1>
          <p>
            Already have one? <Link to="/sign-in" state={location.state as unknown}>Sign in</Link>
          </p>
        </div>
        {problem && (
          <Notice alert tone="danger" icon={<CircleAlert size={18} />} title={problem.message}>
            {problem.sentence === problem.message ? null : problem.sentence}
          </Notice>
        )}
        {mode.data?.mode === "closed" && (
          <Notice tone="warn" icon={<Info size={18} />} title="This server takes no new accounts">
            Ask the person who runs it, or join calls as a guest by their invite address.
          </Notice>
        )}
        <Field label="Your name" name="name" autoComplete="name" error={errors["name"]} hint="How others see you in calls." required />
        <Field label="E-mail" name="email" type="email" autoComplete="username" error={errors["email"]} required />
        <Field
          label="Password"
          name="password"
          type="password"
          autoComplete="new-password"
          error={errors["password"]}
          hint={`At least ${SHORTEST_PASSWORD} characters. A short sentence works well.`}
          required
        />
        {mode.data?.mode === "invitation" && (
          <Field label="Invitation" name="invitation" autoComplete="off" error={errors["invitation"]} hint="The code you were sent. This server takes new accounts by invitation." required />
        )}
        <Button type="submit" look="primary" large wide busy={busy} disabled={mode.data?.mode === "closed"}>
          Create account
        </Button>
      </form>
    </AuthShell>
  );
}

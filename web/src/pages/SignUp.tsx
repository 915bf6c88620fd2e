import { CircleAlert } from "lucide-react";
import { Link, useLocation } from "react-router";
import { useTitle } from "../app/useTitle";
import { emailError, nameError, newPasswordError, SHORTEST_PASSWORD } from "../lib/rules";
import { useSession } from "../session/context";
import { Button, Field, Notice } from "../ui/controls";
import { AuthShell } from "./AuthShell";
import { textOf, useForm } from "./useForm";

export function SignUpPage() {
  useTitle("Create an account");
  const session = useSession();
  const location = useLocation();
  const { form, busy, errors, problem } = useForm(
    (values) =>
      session.signUp(textOf(values, "name").trim(), textOf(values, "email").trim(), textOf(values, "password")),
    (values) => ({
      name: nameError(textOf(values, "name")),
      email: emailError(textOf(values, "email")),
      password: newPasswordError(textOf(values, "password")),
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
        <Button type="submit" look="primary" large wide busy={busy}>
          Create account
        </Button>
      </form>
    </AuthShell>
  );
}

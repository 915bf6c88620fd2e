import { ArrowLeft, CircleAlert } from "lucide-react";
import { Link } from "react-router";
import { useTitle } from "../app/useTitle";
import { nameError } from "../lib/rules";
import { useApi, useSession, useUser } from "../session/context";
import { Avatar } from "../ui/Avatar";
import { Button, Field, Notice } from "../ui/controls";
import { toast } from "../ui/toasts";
import { TopBar } from "./TopBar";
import { textOf, useForm } from "./useForm";

export function ProfilePage() {
  useTitle("Profile");
  const user = useUser();
  const api = useApi();
  const session = useSession();
  const { form, busy, errors, problem } = useForm(
    async (values) => {
      session.update(await api.updateMe({ name: textOf(values, "name").trim(), aura_id: textOf(values, "aura_id").trim() }));
      toast("Saved", "good");
    },
    (values) => ({
      name: nameError(textOf(values, "name")),
      aura_id: textOf(values, "aura_id").trim() ? undefined : "Enter an AuraID.",
    }),
  );
  if (!user) return null;
  return (
    <>
      <TopBar />
      <main className="page page-narrow" id="main">
        <Link className="back" to="/">
          <ArrowLeft size={17} /> Your rooms
        </Link>
        <div className="profile-head">
          <Avatar name={user.name} large />
          <div>
            <h1>{user.name}</h1>
            <p className="soft">{user.aura_id}</p>
          </div>
        </div>
        <form {...form} className="panel">
          {problem && (
            <Notice alert tone="danger" icon={<CircleAlert size={18} />} title={problem.message}>
              {problem.detail}
            </Notice>
          )}
          <Field label="Your name" name="name" autoComplete="name" defaultValue={user.name} error={errors["name"]} hint="How others see you in calls." />
          <Field label="E-mail" value={user.email} readOnly hint="You sign in with this address." />
          <Field label="AuraID" name="aura_id" autoComplete="off" spellCheck={false} defaultValue={user.aura_id} error={errors["aura_id"]} hint="Your address for other people on AuraLink." />
          <div className="dialog-actions">
            <Button type="submit" look="primary" busy={busy}>
              Save
            </Button>
          </div>
        </form>
      </main>
    </>
  );
}

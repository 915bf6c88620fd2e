/** Making, rotating and revoking a key. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Ban, CalendarClock, CircleAlert, Clock } from "lucide-react";
import type { ReactNode } from "react";
import type { ApiKey, IssuedApiKey } from "../../api/client";
import { asProblem, type Problem } from "../../api/problem";
import { nameError } from "../../lib/rules";
import { useApi } from "../../session/context";
import { Button, Field, Notice } from "../../ui/controls";
import { Dialog } from "../../ui/Dialog";
import { toast } from "../../ui/toasts";
import { API_KEYS_KEY } from "../keys";
import { textOf, useForm } from "../useForm";

const OVERLAPS = [
  { seconds: 24 * 3600, icon: CalendarClock, title: "For a day", text: "Enough to bring the new secret to every app." },
  { seconds: 3600, icon: Clock, title: "For an hour", text: "Apps must have the new secret by then." },
  { seconds: 0, icon: Ban, title: "Not at all", text: "When somebody else may know it: apps stop until they have the new one." },
] as const;

interface Issuing {
  org: string;
  onClose: () => void;
  onIssued: (issued: IssuedApiKey) => void;
}

export function CreateKeyDialog({ org, onClose, onIssued }: Issuing) {
  const api = useApi();
  const refresh = useRefresh();
  const { form, busy, errors, problem } = useForm(
    async (values) => {
      const hook = textOf(values, "webhook_urls").trim();
      const issued = await api.createApiKey(org, { name: textOf(values, "name").trim(), webhook_urls: hook ? [hook] : [] });
      await refresh();
      onIssued(issued);
    },
    (values) => ({ name: nameError(textOf(values, "name"), "a name for the key") }),
  );
  return (
    <Dialog title="New API key" onClose={onClose}>
      <form {...form} className="stack">
        <Trouble problem={problem} />
        <Field label="Name" name="name" placeholder="Backend" autoComplete="off" error={errors["name"]} hint="Which app will use it." />
        <Field
          label="Webhook address (optional)"
          name="webhook_urls"
          type="url"
          placeholder="https://app.example.org/livekit"
          autoComplete="off"
          error={errors["webhook_urls"]}
          hint="Told what happens in the rooms, signed by this key."
        />
        <Actions onClose={onClose}>
          <Button type="submit" look="primary" busy={busy}>
            Create key
          </Button>
        </Actions>
      </form>
    </Dialog>
  );
}

export function RotateKeyDialog({ org, target, onClose, onIssued }: Issuing & { target: ApiKey }) {
  const api = useApi();
  const refresh = useRefresh();
  const { form, busy, problem } = useForm(
    async (values) => {
      const issued = await api.rotateApiKey(org, target.id, Number(textOf(values, "overlap")));
      await refresh();
      onIssued(issued);
    },
    () => ({}),
  );
  return (
    <Dialog title={`New secret for “${target.name}”`} onClose={onClose}>
      <form {...form} className="stack">
        <Trouble problem={problem} />
        <fieldset className="choices">
          <legend>How long the secret of now keeps working</legend>
          {OVERLAPS.map(({ seconds, icon: Icon, title, text }) => (
            <label key={seconds} className="choice">
              <Icon size={19} aria-hidden="true" />
              <span>
                <span className="choice-title">{title}</span>
                <span className="choice-text">{text}</span>
              </span>
              <input type="radio" name="overlap" value={seconds} defaultChecked={seconds === OVERLAPS[0].seconds} />
            </label>
          ))}
        </fieldset>
        <Actions onClose={onClose}>
          <Button type="submit" look="primary" busy={busy}>
            Make new secret
          </Button>
        </Actions>
      </form>
    </Dialog>
  );
}

export function RevokeKeyDialog({ org, target, onClose }: { org: string; target: ApiKey; onClose: () => void }) {
  const api = useApi();
  const refresh = useRefresh();
  const revocation = useMutation({
    mutationFn: () => api.revokeApiKey(org, target.id),
    onSuccess: async () => {
      await refresh();
      toast(`“${target.name}” is revoked`);
      onClose();
    },
  });
  return (
    <Dialog title={`Revoke “${target.name}”?`} onClose={onClose}>
      <p className="soft">
        Within seconds nobody can join, come back or call the server API with it. Calls under way go on. This cannot be undone.
      </p>
      <Trouble problem={revocation.error ? asProblem(revocation.error) : null} />
      <Actions onClose={onClose} away="Keep it">
        <Button look="danger" busy={revocation.isPending} onClick={() => revocation.mutate()}>
          Revoke key
        </Button>
      </Actions>
    </Dialog>
  );
}

function useRefresh(): () => Promise<void> {
  const queries = useQueryClient();
  return () => queries.invalidateQueries({ queryKey: API_KEYS_KEY });
}

function Trouble({ problem }: { problem: Problem | null }) {
  if (!problem) return null;
  return (
    <Notice alert tone="danger" icon={<CircleAlert size={18} />} title={problem.message}>
      {problem.detail}
    </Notice>
  );
}

function Actions({ onClose, away = "Cancel", children }: { onClose: () => void; away?: string; children: ReactNode }) {
  return (
    <div className="dialog-actions">
      <Button look="quiet" onClick={onClose}>
        {away}
      </Button>
      {children}
    </div>
  );
}

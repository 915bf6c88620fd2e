import { useQueryClient } from "@tanstack/react-query";
import { CircleAlert, DoorOpen, Link2, Users } from "lucide-react";
import type { JoinPolicy } from "../api/client";
import { nameError } from "../lib/rules";
import { POLICIES } from "../lib/invites";
import { useApi } from "../session/context";
import { Button, Field, Notice } from "../ui/controls";
import { Dialog } from "../ui/Dialog";
import { toast } from "../ui/toasts";
import { ROOMS_KEY } from "./keys";
import { textOf, useForm } from "./useForm";

const ICONS = { invite: Link2, members: Users, open: DoorOpen } as const;

export function CreateRoomDialog({ onClose }: { onClose: () => void }) {
  const api = useApi();
  const queries = useQueryClient();
  const { form, busy, errors, problem } = useForm(
    async (values) => {
      const limit = textOf(values, "max_participants").trim();
      const room = await api.createRoom({
        name: textOf(values, "name").trim(),
        join_policy: textOf(values, "join_policy") as JoinPolicy,
        ...(limit ? { max_participants: Number(limit) } : {}),
      });
      await queries.invalidateQueries({ queryKey: ROOMS_KEY });
      toast(`“${room.name}” is ready`, "good");
      onClose();
    },
    (values) => ({
      name: nameError(textOf(values, "name"), "a name for the room"),
      max_participants: limitError(textOf(values, "max_participants").trim()),
    }),
  );
  return (
    <Dialog title="New room" onClose={onClose}>
      <form {...form} className="stack">
        {problem && (
          <Notice alert tone="danger" icon={<CircleAlert size={18} />} title={problem.message}>
            {problem.detail}
          </Notice>
        )}
        <Field label="Name" name="name" placeholder="Weekly sync" autoComplete="off" error={errors["name"]} />
        <fieldset className="choices">
          <legend>Who may join</legend>
          {POLICIES.map(({ value, title, text }) => {
            const Icon = ICONS[value];
            return (
              <label key={value} className="choice">
                <Icon size={19} aria-hidden="true" />
                <span>
                  <span className="choice-title">{title}</span>
                  <span className="choice-text">{text}</span>
                </span>
                <input type="radio" name="join_policy" value={value} defaultChecked={value === "invite"} />
              </label>
            );
          })}
        </fieldset>
        <Field
          label="Most people at once (optional)"
          name="max_participants"
          inputMode="numeric"
          placeholder="The server’s usual limit"
          autoComplete="off"
          error={errors["max_participants"]}
        />
        <div className="dialog-actions">
          <Button look="quiet" onClick={onClose}>
            Cancel
          </Button>
          <Button type="submit" look="primary" busy={busy}>
            Create room
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function limitError(limit: string): string | undefined {
  if (!limit) return undefined;
  const most = Number(limit);
  return Number.isInteger(most) && most >= 1 ? undefined : "Enter a whole number, or leave it empty.";
}

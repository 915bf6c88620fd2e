/** Copying a room's address; where the browser forbids the clipboard, the address is shown to be copied by hand. */
import { useState, type ReactNode } from "react";
import type { Room } from "../api/client";
import { copyText } from "../lib/clipboard";
import { inviteAddress, roomAddress } from "../lib/invites";
import { Field } from "./controls";
import { Dialog } from "./Dialog";
import { toast } from "./toasts";

type Shared = Pick<Room, "id"> & Partial<Pick<Room, "invite_code">>;

export function useShareInvite(room: Shared): { share: () => Promise<void>; dialog: ReactNode } {
  const [byHand, setByHand] = useState<string | null>(null);
  const share = async () => {
    const { origin } = window.location;
    const address = room.invite_code ? inviteAddress(origin, room.invite_code) : roomAddress(origin, room.id);
    if (await copyText(address)) toast("Invite address copied", "good");
    else setByHand(address);
  };
  const dialog = byHand && (
    <Dialog title="Invite address" onClose={() => setByHand(null)}>
      <p className="soft">This browser does not let the page copy. Select the address and copy it.</p>
      <Field label="Address" readOnly value={byHand} onFocus={(event) => event.target.select()} />
    </Dialog>
  );
  return { share, dialog };
}

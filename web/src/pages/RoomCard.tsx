import { Copy, EllipsisVertical, Link2, Trash2, Users, Video, DoorOpen } from "lucide-react";
import { Link } from "react-router";
import type { Room } from "../api/client";
import { policyTitle } from "../lib/invites";
import { useShareInvite } from "../ui/ShareInvite";
import { hueOf, initials } from "../lib/people";
import { buttonClass, IconButton } from "../ui/controls";
import { Menu, MenuItem, MenuLine } from "../ui/Menu";

const ICONS = { invite: Link2, members: Users, open: DoorOpen } as const;

export function RoomCard({ room, onDelete }: { room: Room; onDelete: () => void }) {
  const { share, dialog } = useShareInvite(room);
  const Icon = ICONS[room.join_policy];
  return (
    <li className="room-card">
      <span className={`room-mark hue-${hueOf(room.name)}`} aria-hidden="true">
        {initials(room.name)}
      </span>
      <div className="room-text">
        <h2>{room.name}</h2>
        <p className="room-facts">
          <span>
            <Icon size={14} aria-hidden="true" /> {policyTitle(room.join_policy)}
          </span>
          <span>since {new Date(room.created_at).toLocaleDateString(undefined, { day: "numeric", month: "short" })}</span>
        </p>
      </div>
      <div className="room-actions">
        <Link className={buttonClass("primary")} to={`/rooms/${room.id}`} aria-label={`Join ${room.name}`}>
          <Video size={17} aria-hidden="true" />
          Join
        </Link>
        <IconButton label={`Copy invite to ${room.name}`} onClick={() => void share()}>
          <Copy size={18} />
        </IconButton>
        <Menu label={`More for ${room.name}`} trigger={<EllipsisVertical size={18} />}>
          <MenuItem icon={<Copy size={17} />} onSelect={() => void share()}>
            Copy invite
          </MenuItem>
          <MenuLine />
          <MenuItem danger icon={<Trash2 size={17} />} onSelect={onDelete}>
            Delete room
          </MenuItem>
        </Menu>
      </div>
      {dialog}
    </li>
  );
}

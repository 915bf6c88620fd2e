import { Copy, EllipsisVertical, KeyRound, RotateCw, Trash2, Webhook } from "lucide-react";
import type { ApiKey } from "../../api/client";
import { copyText } from "../../lib/clipboard";
import { Menu, MenuItem, MenuLine } from "../../ui/Menu";
import { toast } from "../../ui/toasts";

export function ApiKeyRow({ item, onRotate, onRevoke }: { item: ApiKey; onRotate: () => void; onRevoke: () => void }) {
  const copy = async () => {
    if (await copyText(item.api_key)) toast("API key copied", "good");
    else toast("This browser does not let the page copy. Select the key and copy it.");
  };
  const overlap = item.former_valid_until && new Date(item.former_valid_until) > new Date() ? item.former_valid_until : null;
  return (
    <li className="key-row">
      <span className="key-mark" aria-hidden="true">
        <KeyRound size={18} />
      </span>
      <div className="key-text">
        <h3>{item.name}</h3>
        <code>{item.api_key}</code>
        <p className="room-facts">
          <span>{item.rotated_at ? `secret of ${day(item.rotated_at)}` : `since ${day(item.created_at)}`}</span>
          {overlap && <span>the former secret works until {moment(overlap)}</span>}
          {item.webhook_urls.map((url) => (
            <span key={url} className="key-hook">
              <Webhook size={14} aria-hidden="true" /> {url}
            </span>
          ))}
        </p>
      </div>
      <Menu label={`More for ${item.name}`} trigger={<EllipsisVertical size={18} />}>
        <MenuItem icon={<Copy size={17} />} onSelect={() => void copy()}>
          Copy key
        </MenuItem>
        <MenuItem icon={<RotateCw size={17} />} onSelect={onRotate}>
          New secret
        </MenuItem>
        <MenuLine />
        <MenuItem danger icon={<Trash2 size={17} />} onSelect={onRevoke}>
          Revoke key
        </MenuItem>
      </Menu>
    </li>
  );
}

function day(time: string): string {
  return new Date(time).toLocaleDateString(undefined, { day: "numeric", month: "short" });
}

function moment(time: string): string {
  return new Date(time).toLocaleString(undefined, { day: "numeric", month: "short", hour: "numeric", minute: "2-digit" });
}

import { useState } from "react";
import { remember, remembered } from "../lib/remembered";
import { SHORTCUTS } from "../lib/shortcuts";
import { Switch } from "../ui/controls";
import { Dialog } from "../ui/Dialog";

export function HelpDialog({ onClose }: { onClose: () => void }) {
  const [on, setOn] = useState(!remembered().shortcutsOff);
  return (
    <Dialog title="Keyboard shortcuts" onClose={onClose}>
      <dl className="keys">
        {SHORTCUTS.map(({ key, text }) => (
          <div key={key}>
            <dt>{text}</dt>
            <dd>
              <kbd>{key.toUpperCase()}</kbd>
            </dd>
          </div>
        ))}
        <div>
          <dt>Talk while you hold it</dt>
          <dd>
            <kbd>Space</kbd>
          </dd>
        </div>
      </dl>
      <Switch
        label="Use single-key shortcuts"
        checked={on}
        onChange={(next) => {
          setOn(next);
          remember({ shortcutsOff: !next });
        }}
      />
    </Dialog>
  );
}

import { Copy, TriangleAlert } from "lucide-react";
import type { IssuedApiKey } from "../../api/client";
import { copyText } from "../../lib/clipboard";
import { Button, Field, Notice } from "../../ui/controls";
import { Dialog } from "../../ui/Dialog";
import { toast } from "../../ui/toasts";

/** The only place a secret is ever shown. */
export function SecretDialog({ issued, onClose }: { issued: IssuedApiKey; onClose: () => void }) {
  const lines = `LIVEKIT_API_KEY=${issued.api_key}\nLIVEKIT_API_SECRET=${issued.secret}\n`;
  const copy = async () => {
    if (await copyText(lines)) toast("Key and secret copied", "good");
    else toast("This browser does not let the page copy. Select the texts and copy them.");
  };
  return (
    <Dialog title={`Secret of “${issued.name}”`} onClose={onClose}>
      <div className="stack">
        <Notice tone="warn" icon={<TriangleAlert size={18} />} title="Copy the secret now">
          It is not shown again. Whoever has it can open rooms and end calls in your organisation’s name.
        </Notice>
        <Field label="API key" readOnly value={issued.api_key} onFocus={(event) => event.target.select()} />
        <Field label="Secret" readOnly value={issued.secret} onFocus={(event) => event.target.select()} />
        <div className="dialog-actions">
          <Button onClick={() => void copy()}>
            <Copy size={17} aria-hidden="true" /> Copy both
          </Button>
          <Button look="primary" onClick={onClose}>
            Done
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

import { useParticipants } from "@livekit/components-react";
import { CircleHelp, LayoutGrid, Link2, PanelTop, UsersRound } from "lucide-react";
import { IconButton } from "../ui/controls";
import { Mark } from "../ui/Brand";
import type { Layout } from "./Stage";

export function CallHeader({ name, layout, onLayout, onShare, onHelp }: { name: string; layout: Layout; onLayout: () => void; onShare: () => void; onHelp: () => void }) {
  const people = useParticipants().length;
  return (
    <header className="call-head">
      <Mark size={26} />
      <h1>{name}</h1>
      <span className="call-count" aria-label={`${people} in the call`}>
        <UsersRound size={15} aria-hidden="true" /> {people}
      </span>
      <div className="call-tools">
        <button type="button" className="pill-button" onClick={onShare}>
          <Link2 size={17} aria-hidden="true" /> <span>Copy invite</span>
        </button>
        <IconButton label={layout === "grid" ? "Speaker layout" : "Grid layout"} onClick={onLayout}>
          {layout === "grid" ? <PanelTop size={19} /> : <LayoutGrid size={19} />}
        </IconButton>
        <IconButton label="Keyboard shortcuts" onClick={onHelp}>
          <CircleHelp size={19} />
        </IconButton>
      </div>
    </header>
  );
}

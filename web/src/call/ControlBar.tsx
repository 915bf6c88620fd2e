import { useRoomContext } from "@livekit/components-react";
import {
  ChevronUp,
  CircleHelp,
  EllipsisVertical,
  LayoutGrid,
  Link2,
  MessageSquareText,
  Mic,
  MicOff,
  MonitorUp,
  PanelTop,
  PhoneOff,
  UsersRound,
  Video,
  VideoOff,
} from "lucide-react";
import type { ReactNode } from "react";
import { setTheme, useTheme } from "../app/theme";
import { Menu, MenuChoice, MenuItem, MenuLine } from "../ui/Menu";
import { THEMES } from "../ui/ThemeMenu";
import type { Panel } from "./Call";
import { DeviceChoices } from "./DeviceChoices";
import type { Layout } from "./Stage";
import { canChooseSpeaker } from "./useDevices";
import type { Media } from "./useMedia";

interface Props {
  media: Media;
  panel: Panel;
  unread: number;
  layout: Layout;
  onPanel: (panel: "chat" | "people") => void;
  onHelp: () => void;
  onShare: () => void;
  onLayout: () => void;
}

export function ControlBar(props: Props) {
  const { media, panel, unread, onPanel } = props;
  const room = useRoomContext();
  return (
    <div className="call-bar" role="toolbar" aria-label="Call controls">
      <Split
        menuLabel="Choose microphone and speaker"
        menu={
          <>
            <DeviceChoices kind="audioinput" label="Microphone" media={media} />
            {canChooseSpeaker() && <DeviceChoices kind="audiooutput" label="Speaker" media={media} />}
          </>
        }
      >
        <Switch on={media.microphoneOn} what="microphone" busy={media.busy.microphone} onClick={media.toggleMicrophone} icon={<Mic size={22} />} offIcon={<MicOff size={22} />} hint="M" />
      </Split>
      <Split menuLabel="Choose camera" menu={<DeviceChoices kind="videoinput" label="Camera" media={media} />}>
        <Switch on={media.cameraOn} what="camera" busy={media.busy.camera} onClick={media.toggleCamera} icon={<Video size={22} />} offIcon={<VideoOff size={22} />} hint="V" />
      </Split>
      {canShareScreen() && (
        <button
          type="button"
          className="stage-button"
          data-live={media.screenOn}
          aria-pressed={media.screenOn}
          aria-label={media.screenOn ? "Stop sharing your screen" : "Share your screen"}
          title={media.screenOn ? "Stop sharing (S)" : "Share your screen (S)"}
          disabled={media.busy.screen}
          onClick={media.toggleScreen}
        >
          <MonitorUp size={22} />
        </button>
      )}
      <button type="button" className="stage-button" aria-pressed={panel === "chat"} aria-label={unread > 0 ? `Chat, ${unread} unread` : "Chat"} title="Chat (C)" onClick={() => onPanel("chat")}>
        <MessageSquareText size={22} />
        {unread > 0 && (
          <span className="unread" aria-hidden="true">
            {unread > 9 ? "9+" : unread}
          </span>
        )}
      </button>
      <button type="button" className="stage-button wide-only" aria-pressed={panel === "people"} aria-label="People" title="People (P)" onClick={() => onPanel("people")}>
        <UsersRound size={22} />
      </button>
      <MoreMenu {...props} />
      <button type="button" className="stage-button leave" aria-label="Leave the call" title="Leave the call" onClick={() => void room.disconnect()}>
        <PhoneOff size={22} />
      </button>
    </div>
  );
}

function MoreMenu({ layout, onPanel, onHelp, onShare, onLayout }: Props) {
  const theme = useTheme();
  return (
    <Menu above label="More" triggerClass="stage-button" trigger={<EllipsisVertical size={22} />}>
      <MenuItem icon={<Link2 size={17} />} onSelect={onShare}>
        Copy invite
      </MenuItem>
      <MenuItem icon={<UsersRound size={17} />} onSelect={() => onPanel("people")}>
        People
      </MenuItem>
      <MenuItem icon={layout === "grid" ? <PanelTop size={17} /> : <LayoutGrid size={17} />} onSelect={onLayout}>
        {layout === "grid" ? "Speaker layout" : "Grid layout"}
      </MenuItem>
      <MenuItem icon={<CircleHelp size={17} />} onSelect={onHelp}>
        Keyboard shortcuts
      </MenuItem>
      <MenuLine />
      <MenuChoice label="Appearance" value={theme} options={THEMES} onChange={setTheme} />
    </Menu>
  );
}

function Split({ menuLabel, menu, children }: { menuLabel: string; menu: ReactNode; children: ReactNode }) {
  return (
    <div className="split">
      {children}
      <Menu above align="start" label={menuLabel} triggerClass="split-caret" trigger={<ChevronUp size={16} />}>
        {menu}
      </Menu>
    </div>
  );
}

function Switch({ on, what, busy, onClick, icon, offIcon, hint }: { on: boolean; what: string; busy: boolean; onClick: () => void; icon: ReactNode; offIcon: ReactNode; hint: string }) {
  const label = on ? `Turn off ${what}` : `Turn on ${what}`;
  return (
    <button type="button" className="stage-button" data-off={!on} aria-pressed={on} aria-label={label} title={`${label} (${hint})`} disabled={busy} onClick={onClick}>
      {on ? icon : offIcon}
    </button>
  );
}

function canShareScreen(): boolean {
  return "mediaDevices" in navigator && "getDisplayMedia" in navigator.mediaDevices;
}

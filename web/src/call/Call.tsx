/** The call: stage, bar and panels around one connected room. */
import { RoomAudioRenderer, RoomContext, useChat } from "@livekit/components-react";
import { useState } from "react";
import { useTitle } from "../app/useTitle";
import { useShareInvite } from "../ui/ShareInvite";
import { ControlBar } from "./ControlBar";
import { CallHeader } from "./CallHeader";
import { ChatPanel } from "./ChatPanel";
import type { CallRoom } from "./CallGate";
import type { Connected } from "./connect";
import { ConnectionBanner } from "./ConnectionBanner";
import { HelpDialog } from "./HelpDialog";
import { PeoplePanel } from "./PeoplePanel";
import { SoundGate } from "./SoundGate";
import { Stage, type Layout } from "./Stage";
import { useAnnouncements } from "./useAnnouncements";
import { useCallKeys } from "./useCallKeys";
import { useMedia } from "./useMedia";
import { useUnread } from "./useUnread";

export type Panel = "chat" | "people" | null;

/** Sends somebody out; there only for people who may. */
export type Remove = ((identity: string) => Promise<unknown>) | undefined;

export function Call({ connected, room, remove }: { connected: Connected; room: CallRoom; remove: Remove }) {
  return (
    <RoomContext value={connected.room}>
      <RoomAudioRenderer />
      <CallView room={room} arrivals={connected.arrivals} remove={remove} />
    </RoomContext>
  );
}

function CallView({ room, arrivals, remove }: { room: CallRoom; arrivals: Connected["arrivals"]; remove: Remove }) {
  useTitle(room.name);
  const [panel, setPanel] = useState<Panel>(null);
  const [layout, setLayout] = useState<Layout>("grid");
  const [help, setHelp] = useState(false);
  const media = useMedia(arrivals);
  const chat = useChat();
  const unread = useUnread(chat.chatMessages, panel === "chat");
  const { share, dialog } = useShareInvite(room);
  useAnnouncements();

  const toggle = (which: Exclude<Panel, null>) => setPanel((now) => (now === which ? null : which));
  const switchLayout = () => setLayout((now) => (now === "grid" ? "speaker" : "grid"));
  useCallKeys(media, {
    microphone: media.toggleMicrophone,
    camera: media.toggleCamera,
    screen: media.toggleScreen,
    chat: () => toggle("chat"),
    people: () => toggle("people"),
    layout: switchLayout,
    help: () => setHelp((open) => !open),
  });

  return (
    <div className="call" data-panel={panel ?? "none"}>
      <ConnectionBanner />
      <CallHeader name={room.name} layout={layout} onLayout={switchLayout} onShare={() => void share()} onHelp={() => setHelp(true)} />
      <main className="call-stage" id="main" aria-label="People in the call">
        <Stage layout={layout} onLayout={setLayout} onStopSharing={media.toggleScreen} onShare={() => void share()} />
      </main>
      {panel === "chat" && <ChatPanel messages={chat.chatMessages} send={chat.send} onClose={() => setPanel(null)} />}
      {panel === "people" && <PeoplePanel onClose={() => setPanel(null)} onShare={() => void share()} remove={remove} />}
      <ControlBar media={media} panel={panel} unread={unread} onPanel={toggle} onHelp={() => setHelp(true)} onShare={() => void share()} layout={layout} onLayout={switchLayout} />
      <SoundGate />
      {help && <HelpDialog onClose={() => setHelp(false)} />}
      {dialog}
    </div>
  );
}

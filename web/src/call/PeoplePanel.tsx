import { useConnectionQualityIndicator, useIsMuted, useIsSpeaking, useParticipantInfo, useParticipants } from "@livekit/components-react";
import { EllipsisVertical, Link2, Mic, MicOff, UserRoundX, Video, VideoOff, X } from "lucide-react";
import { Track, type Participant } from "livekit-client";
import { asProblem } from "../api/problem";
import { Avatar } from "../ui/Avatar";
import { Button, IconButton } from "../ui/controls";
import { Menu, MenuItem } from "../ui/Menu";
import { toast } from "../ui/toasts";
import type { Remove } from "./Call";
import { QualityIcon } from "./QualityIcon";

export function PeoplePanel({ onClose, onShare, remove }: { onClose: () => void; onShare: () => void; remove: Remove }) {
  const people = useParticipants();
  return (
    <aside className="call-panel" aria-label="People">
      <div className="panel-head">
        <h2>People ({people.length})</h2>
        <IconButton label="Close people" onClick={onClose}>
          <X size={19} />
        </IconButton>
      </div>
      <ul className="people" aria-label="Participants">
        {people.map((participant) => (
          <Person key={participant.identity} participant={participant} remove={participant.isLocal ? undefined : remove} />
        ))}
      </ul>
      <div className="panel-foot">
        <Button wide onClick={onShare}>
          <Link2 size={17} aria-hidden="true" /> Copy invite
        </Button>
      </div>
    </aside>
  );
}

function Person({ participant, remove }: { participant: Participant; remove: Remove }) {
  const { name, identity } = useParticipantInfo({ participant });
  const speaking = useIsSpeaking(participant);
  const micMuted = useIsMuted({ participant, source: Track.Source.Microphone });
  const cameraMuted = useIsMuted({ participant, source: Track.Source.Camera });
  const { quality } = useConnectionQualityIndicator({ participant });
  const who = name || identity || "Somebody";
  return (
    <li className="person" data-speaking={speaking}>
      <Avatar name={who} />
      <span className="person-name">
        {who}
        {participant.isLocal && <span className="soft"> (you)</span>}
      </span>
      <QualityIcon quality={quality} />
      <span role="img" aria-label={micMuted ? "Microphone off" : "Microphone on"}>
        {micMuted ? <MicOff size={17} /> : <Mic size={17} />}
      </span>
      <span role="img" aria-label={cameraMuted ? "Camera off" : "Camera on"}>
        {cameraMuted ? <VideoOff size={17} /> : <Video size={17} />}
      </span>
      {remove && (
        <Menu label={`More for ${who}`} trigger={<EllipsisVertical size={17} />}>
          <MenuItem danger icon={<UserRoundX size={17} />} onSelect={() => void sendOut(remove, participant.identity, who)}>
            Remove from the call
          </MenuItem>
        </Menu>
      )}
    </li>
  );
}

async function sendOut(remove: NonNullable<Remove>, identity: string, who: string): Promise<void> {
  try {
    await remove(identity);
    toast(`${who} was removed from the call`);
  } catch (error) {
    toast(`${who} could not be removed. ${asProblem(error).sentence}`, "danger");
  }
}

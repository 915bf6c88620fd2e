import {
  isTrackReference,
  useConnectionQualityIndicator,
  useIsMuted,
  useIsSpeaking,
  useParticipantInfo,
  VideoTrack,
  type TrackReferenceOrPlaceholder,
} from "@livekit/components-react";
import { MicOff, MonitorUp, Pin, PinOff } from "lucide-react";
import { ConnectionQuality, Track, type Participant } from "livekit-client";
import { hueOf } from "../lib/people";
import { Avatar } from "../ui/Avatar";
import { Button } from "../ui/controls";
import { QualityIcon } from "./QualityIcon";

export function Tile({ track, large, pinned, onPin }: { track: TrackReferenceOrPlaceholder; large: boolean; pinned: boolean; onPin: () => void }) {
  const { participant, source } = track;
  const { name, identity } = useParticipantInfo({ participant });
  const speaking = useIsSpeaking(participant);
  const videoMuted = useIsMuted(track);
  const micMuted = useIsMuted({ participant, source: Track.Source.Microphone });
  const screen = source === Track.Source.ScreenShare;
  const who = name || identity || "Somebody";
  const shown = isTrackReference(track) && !videoMuted;
  const label = [
    screen ? `${who}’s screen` : participant.isLocal ? `${who}, you` : who,
    screen ? "" : micMuted ? "microphone off" : "microphone on",
    screen || shown ? "" : "camera off",
  ];
  return (
    <article
      className={`tile hue-${hueOf(who)}`}
      aria-label={label.filter(Boolean).join(", ")}
      data-speaking={speaking && !screen}
      data-screen={screen}
      data-mirrored={participant.isLocal && !screen}
      data-large={large}
    >
      {shown ? <VideoTrack trackRef={track} className="tile-video" /> : <div className="tile-rest"><Avatar name={who} large /></div>}
      <div className="tile-chip">
        {screen ? <MonitorUp size={15} aria-hidden="true" /> : micMuted ? <MicOff className="tile-muted" size={15} aria-hidden="true" /> : <Voice active={speaking} />}
        <span className="tile-name">{screen ? `${who}’s screen` : participant.isLocal ? `${who} (you)` : who}</span>
        {!screen && <Quality participant={participant} />}
      </div>
      <button type="button" className="tile-pin" aria-pressed={pinned} aria-label={pinned ? `Unpin ${who}` : `Pin ${who}`} title={pinned ? "Unpin" : "Pin"} onClick={onPin}>
        {pinned ? <PinOff size={17} /> : <Pin size={17} />}
      </button>
    </article>
  );
}

function Voice({ active }: { active: boolean }) {
  return (
    <span className="voice" data-active={active} aria-hidden="true">
      <i />
      <i />
      <i />
    </span>
  );
}

function Quality({ participant }: { participant: Participant }) {
  const { quality } = useConnectionQualityIndicator({ participant });
  // A good connection is the normal case and needs no sign.
  if (quality === ConnectionQuality.Excellent || quality === ConnectionQuality.Unknown) return null;
  return <QualityIcon quality={quality} />;
}

/** Our own shared screen is not shown back to us: it would be a hall of mirrors. */
export function SharingCard({ onStop }: { onStop: () => void }) {
  return (
    <article className="tile sharing-card" aria-label="Your shared screen">
      <MonitorUp size={30} aria-hidden="true" />
      <p>Everybody sees your screen</p>
      <Button look="danger" onClick={onStop}>
        Stop sharing
      </Button>
    </article>
  );
}

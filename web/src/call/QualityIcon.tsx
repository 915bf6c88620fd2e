import { ConnectionQuality } from "livekit-client";

const TEXT: Record<ConnectionQuality, string> = {
  [ConnectionQuality.Excellent]: "Connection very good",
  [ConnectionQuality.Good]: "Connection good",
  [ConnectionQuality.Poor]: "Connection poor",
  [ConnectionQuality.Lost]: "Connection lost",
  [ConnectionQuality.Unknown]: "Connection not known yet",
};

export function QualityIcon({ quality }: { quality: ConnectionQuality }) {
  return (
    <span className={`quality quality-${quality}`} role="img" aria-label={TEXT[quality]} title={TEXT[quality]}>
      <i />
      <i />
      <i />
    </span>
  );
}

import { useRoomContext } from "@livekit/components-react";
import { Volume2 } from "lucide-react";
import { RoomEvent } from "livekit-client";
import { useEffect, useState } from "react";
import { Button } from "../ui/controls";

/** Browsers start no sound before a click on the page; then one is asked for. */
export function SoundGate() {
  const room = useRoomContext();
  const [silent, setSilent] = useState(!room.canPlaybackAudio);
  useEffect(() => {
    const changed = () => setSilent(!room.canPlaybackAudio);
    room.on(RoomEvent.AudioPlaybackStatusChanged, changed);
    return () => void room.off(RoomEvent.AudioPlaybackStatusChanged, changed);
  }, [room]);
  if (!silent) return null;
  return (
    <div className="sound-gate">
      <Button look="primary" large onClick={() => void room.startAudio()}>
        <Volume2 size={20} aria-hidden="true" /> Turn on sound
      </Button>
    </div>
  );
}

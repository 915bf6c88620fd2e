/** From the lobby into the call and out again. Owns the Room object. */
import type { Room } from "livekit-client";
import { DisconnectReason, RoomEvent } from "livekit-client";
import { useEffect, useRef, useState } from "react";
import { useNavigate } from "react-router";
import type { JoinToken } from "../api/client";
import { asProblem, type Problem } from "../api/problem";
import { endReason } from "../lib/farewell";
import type { EndedState } from "../pages/Ended";
import { Call, type Remove } from "./Call";
import { connect, putAway, type Connected } from "./connect";
import { PreJoin, type Entrance } from "./PreJoin";

export interface CallRoom {
  id: string;
  name: string;
  invite_code?: string | null;
}

type Phase = { kind: "lobby"; problem: Problem | null; attempt: number } | { kind: "joining"; attempt: number } | { kind: "in"; connected: Connected };

export function CallGate({
  room,
  back,
  knownName,
  askName,
  obtain,
  remove,
}: {
  room: CallRoom;
  back: string;
  knownName: string;
  askName: boolean;
  obtain: (displayName: string) => Promise<JoinToken>;
  remove?: Remove;
}) {
  const navigate = useNavigate();
  const [phase, setPhase] = useState<Phase>({ kind: "lobby", problem: null, attempt: 0 });
  const open = useRef<Room | null>(null);
  const gone = useRef(false);

  useEffect(() => {
    gone.current = false;
    return () => {
      gone.current = true;
      void open.current?.disconnect();
    };
  }, []);

  const join = async (entrance: Entrance) => {
    const attempt = phase.kind === "in" ? 0 : phase.attempt;
    setPhase({ kind: "joining", attempt });
    try {
      const connected = await connect(await obtain(entrance.name), entrance);
      const call = connected.room;
      if (gone.current) {
        void call.disconnect();
        return;
      }
      open.current = call;
      call.once(RoomEvent.Disconnected, (reason) => {
        open.current = null;
        const ended: EndedState = {
          reason: endReason(reason === undefined ? undefined : DisconnectReason[reason]),
          roomName: room.name,
          back,
        };
        if (!gone.current) void navigate("/ended", { replace: true, state: ended });
      });
      setPhase({ kind: "in", connected });
    } catch (error) {
      putAway(entrance);
      setPhase({ kind: "lobby", problem: asProblem(error), attempt: attempt + 1 });
    }
  };

  if (phase.kind === "in") return <Call connected={phase.connected} room={room} remove={remove} />;
  return (
    <PreJoin
      // A new attempt starts with fresh preview tracks: the last ones went into the failed connection.
      key={phase.attempt}
      roomName={room.name}
      knownName={knownName}
      askName={askName}
      joining={phase.kind === "joining"}
      problem={phase.kind === "lobby" ? phase.problem : null}
      onJoin={(entrance) => void join(entrance)}
    />
  );
}

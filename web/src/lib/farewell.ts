/** Why a call is over for us, in words. Reasons are livekit.DisconnectReason, mirrored so that this stays pure. */
export type EndReason =
  | "left"
  | "elsewhere"
  | "removed"
  | "room-deleted"
  | "room-closed"
  | "server-stopped"
  | "connection-lost"
  | "unknown";

export interface Farewell {
  title: string;
  text: string;
  canReturn: boolean;
}

const NAMES: Readonly<Record<string, EndReason>> = {
  CLIENT_INITIATED: "left",
  DUPLICATE_IDENTITY: "elsewhere",
  PARTICIPANT_REMOVED: "removed",
  ROOM_DELETED: "room-deleted",
  ROOM_CLOSED: "room-closed",
  SERVER_SHUTDOWN: "server-stopped",
  SIGNAL_CLOSE: "connection-lost",
  CONNECTION_TIMEOUT: "connection-lost",
  STATE_MISMATCH: "connection-lost",
  MIGRATION: "connection-lost",
  MEDIA_FAILURE: "connection-lost",
  JOIN_FAILURE: "connection-lost",
};

export function endReason(name: string | undefined): EndReason {
  return (name !== undefined && NAMES[name]) || "unknown";
}

export function isEndReason(value: unknown): value is EndReason {
  return typeof value === "string" && value in FAREWELLS;
}

const FAREWELLS: Readonly<Record<EndReason, Farewell>> = {
  left: { title: "You left the call", text: "Come back any time while the room is there.", canReturn: true },
  elsewhere: {
    title: "You joined from somewhere else",
    text: "The call goes on in another window or on another device of yours.",
    canReturn: true,
  },
  removed: { title: "You were removed from the call", text: "Somebody who runs this room ended your participation.", canReturn: false },
  "room-deleted": { title: "The room is gone", text: "It was deleted, and the call ended for everybody.", canReturn: false },
  "room-closed": { title: "The call has ended", text: "The room was closed.", canReturn: true },
  "server-stopped": {
    title: "The server is restarting",
    text: "The call was ended by the server. You can come back as soon as it is up again.",
    canReturn: true,
  },
  "connection-lost": {
    title: "The connection was lost",
    text: "We tried to get it back and could not. Check your network and join again.",
    canReturn: true,
  },
  unknown: { title: "The call ended", text: "The server did not say why. You can try to join again.", canReturn: true },
};

export function farewell(reason: EndReason): Farewell {
  return FAREWELLS[reason];
}

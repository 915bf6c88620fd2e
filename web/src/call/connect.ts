/** Opening the connection of a call. */
import { ConnectionError, ConnectionState, ConnectionErrorReason, Room, type LocalAudioTrack, type LocalVideoTrack } from "livekit-client";
import type { JoinToken } from "../api/client";
import { Problem } from "../api/problem";
import { toast } from "../ui/toasts";
import type { Entrance } from "./PreJoin";

/** A room that is open, and when the devices a person came with have arrived in it (or turned out not to come). */
export interface Connected {
  room: Room;
  arrivals: { microphone: Promise<void>; camera: Promise<void> };
}

export async function connect(grant: JoinToken, entrance: Entrance): Promise<Connected> {
  const room = new Room({
    adaptiveStream: true,
    dynacast: true,
    audioCaptureDefaults: { ...device(entrance.microphoneId), echoCancellation: true, noiseSuppression: true, autoGainControl: true },
    videoCaptureDefaults: { ...device(entrance.cameraId), resolution: { width: 1280, height: 720, frameRate: 30 } },
    ...(entrance.speakerId ? { audioOutput: { deviceId: entrance.speakerId } } : {}),
  });
  try {
    await room.connect(grant.url, grant.token);
  } catch (error) {
    throw connectionProblem(error);
  }
  // Nobody waits at the door for a device: the browser may still be asking for permission.
  const arrivals = {
    microphone: publish(room, entrance.microphone, "microphone"),
    camera: publish(room, entrance.camera, "camera"),
  };
  return { room, arrivals };
}

/** For an entrance that led nowhere. */
export function putAway(entrance: Entrance): void {
  for (const track of [entrance.camera, entrance.microphone]) void track.then((started) => started?.stop());
}

function device(deviceId: string | undefined): { deviceId?: string } {
  return deviceId ? { deviceId } : {};
}

/** A track that cannot be published is no reason to keep somebody out of the call. */
async function publish(room: Room, coming: Promise<LocalAudioTrack | LocalVideoTrack | undefined>, what: string): Promise<void> {
  const track = await coming;
  if (!track) return;
  if (room.state === ConnectionState.Disconnected) {
    track.stop();
    return;
  }
  try {
    await room.localParticipant.publishTrack(track);
  } catch {
    track.stop();
    toast(`Your ${what} could not be sent. Turn it on again to retry.`, "danger");
  }
}

function connectionProblem(error: unknown): Problem {
  const reason: unknown = error instanceof ConnectionError ? error.reason : undefined;
  if (reason === ConnectionErrorReason.NotAllowed) {
    return problem("join_refused", "You cannot join this call", "The media server did not accept the ticket. The room may be full or closed; try again.");
  }
  if (reason === ConnectionErrorReason.Timeout) {
    return problem("join_timeout", "Joining took too long", "The media server answers, but no media connection came about. A firewall may block UDP and TCP to the server.");
  }
  return problem("media_unreachable", "The media server cannot be reached", "Your sign-in works, but the server that carries calls does not answer. Check your network and try again.");
}

function problem(code: string, title: string, detail: string): Problem {
  return new Problem({ status: 0, code, title, detail });
}

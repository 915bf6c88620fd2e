/** Camera and microphone before the call. Owns the preview tracks until they are handed to the call or stopped. */
import { createLocalAudioTrack, createLocalVideoTrack, type LocalAudioTrack, type LocalVideoTrack } from "livekit-client";
import { useCallback, useEffect, useRef, useState } from "react";
import { mediaFailure, type MediaFailure } from "../lib/mediaFailure";
import { remember, remembered } from "../lib/remembered";

export type DeviceState<T> =
  | { kind: "off" }
  | { kind: "starting" }
  | { kind: "on"; track: T }
  | { kind: "failed"; failure: MediaFailure };

interface Starter<T> {
  start: (deviceId: string | undefined) => Promise<T>;
}

export interface PreviewDevice<T> {
  state: DeviceState<T>;
  deviceId: string | undefined;
  turn: (on: boolean) => void;
  choose: (deviceId: string) => void;
  /**
   * Gives the track away; this hook will no longer stop it. One that is still starting, perhaps because the browser is
   * asking for permission, comes when it is there; undefined means off or failed.
   */
  take: () => Promise<T | undefined>;
}

const CAMERA: Starter<LocalVideoTrack> = {
  start: (deviceId) =>
    createLocalVideoTrack({ ...(deviceId ? { deviceId } : {}), resolution: { width: 1280, height: 720, frameRate: 30 } }),
};
const MICROPHONE: Starter<LocalAudioTrack> = {
  start: (deviceId) =>
    createLocalAudioTrack({ ...(deviceId ? { deviceId } : {}), echoCancellation: true, noiseSuppression: true, autoGainControl: true }),
};

export function usePreviewCamera(): PreviewDevice<LocalVideoTrack> {
  const { camera, cameraOn } = remembered();
  return usePreviewDevice(CAMERA, camera, cameraOn ?? true, (deviceId, on) => remember({ ...(deviceId ? { camera: deviceId } : {}), cameraOn: on }));
}

export function usePreviewMicrophone(): PreviewDevice<LocalAudioTrack> {
  const { microphone, microphoneOn } = remembered();
  return usePreviewDevice(MICROPHONE, microphone, microphoneOn ?? true, (deviceId, on) =>
    remember({ ...(deviceId ? { microphone: deviceId } : {}), microphoneOn: on }),
  );
}

function usePreviewDevice<T extends LocalVideoTrack | LocalAudioTrack>(
  starter: Starter<T>,
  firstDevice: string | undefined,
  firstOn: boolean,
  save: (deviceId: string | undefined, on: boolean) => void,
): PreviewDevice<T> {
  const [state, setState] = useState<DeviceState<T>>(firstOn ? { kind: "starting" } : { kind: "off" });
  const [deviceId, setDeviceId] = useState(firstDevice);
  const running = useRef<T | undefined>(undefined);
  const coming = useRef<Promise<T | undefined> | undefined>(undefined);
  // Only the newest start may show its result: permissions can take as long as a person takes.
  const newest = useRef(0);
  const taken = useRef<number | undefined>(undefined);

  const stop = useCallback(() => {
    newest.current += 1;
    running.current?.stop();
    running.current = undefined;
    coming.current = undefined;
  }, []);

  const attemptStart = useCallback(
    async (attempt: number, id: string | undefined): Promise<T | undefined> => {
      try {
        const track = await startAny(starter, id);
        if (attempt === taken.current) return track;
        if (attempt !== newest.current) {
          track.stop();
          return undefined;
        }
        running.current = track;
        setState({ kind: "on", track });
        return track;
      } catch (error) {
        if (attempt === newest.current) setState({ kind: "failed", failure: mediaFailure(error, window.isSecureContext) });
        return undefined;
      }
    },
    [starter],
  );

  const start = useCallback(
    (id: string | undefined) => {
      stop();
      setState({ kind: "starting" });
      coming.current = attemptStart(newest.current, id);
    },
    [attemptStart, stop],
  );

  useEffect(() => {
    // Asking the operating system for a device is what this effect synchronises with.
    // eslint-disable-next-line react-hooks/set-state-in-effect
    if (firstOn) start(firstDevice);
    return stop;
    // The first choice counts once; later ones come through turn and choose.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [start, stop]);

  return {
    state,
    deviceId,
    turn: (on) => {
      save(deviceId, on);
      if (on) start(deviceId);
      else {
        stop();
        setState({ kind: "off" });
      }
    },
    choose: (id) => {
      setDeviceId(id);
      save(id, true);
      start(id);
    },
    take: () => {
      taken.current = newest.current;
      const track = coming.current ?? Promise.resolve(undefined);
      running.current = undefined;
      coming.current = undefined;
      return track;
    },
  };
}

/** A remembered device may be gone: then any other does. */
async function startAny<T>(starter: Starter<T>, deviceId: string | undefined): Promise<T> {
  try {
    return await starter.start(deviceId);
  } catch (error) {
    if (deviceId && mediaFailure(error, window.isSecureContext) === "missing") return starter.start(undefined);
    throw error;
  }
}

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
  /** Gives the running track away; this hook will no longer stop it. */
  take: () => T | undefined;
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
  // Only the newest start may show its result: permissions can take as long as a person takes.
  const newest = useRef(0);

  const stop = useCallback(() => {
    newest.current += 1;
    running.current?.stop();
    running.current = undefined;
  }, []);

  const start = useCallback(
    async (id: string | undefined) => {
      stop();
      const attempt = newest.current;
      setState({ kind: "starting" });
      try {
        const track = await startAny(starter, id);
        if (attempt !== newest.current) {
          track.stop();
          return;
        }
        running.current = track;
        setState({ kind: "on", track });
      } catch (error) {
        if (attempt === newest.current) setState({ kind: "failed", failure: mediaFailure(error, window.isSecureContext) });
      }
    },
    [starter, stop],
  );

  useEffect(() => {
    // Asking the operating system for a device is what this effect synchronises with.
    // eslint-disable-next-line react-hooks/set-state-in-effect
    if (firstOn) void start(firstDevice);
    return stop;
    // The first choice counts once; later ones come through turn and choose.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, [start, stop]);

  return {
    state,
    deviceId,
    turn: (on) => {
      save(deviceId, on);
      if (on) void start(deviceId);
      else {
        stop();
        setState({ kind: "off" });
      }
    },
    choose: (id) => {
      setDeviceId(id);
      save(id, true);
      void start(id);
    },
    take: () => {
      const track = running.current;
      running.current = undefined;
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

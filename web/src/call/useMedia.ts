/** The three switches of a call, with what went wrong said in words. */
import { useLocalParticipant, useRoomContext } from "@livekit/components-react";
import { useEffect, useState } from "react";
import { advice, mediaFailure, type MediaKind } from "../lib/mediaFailure";
import { remember } from "../lib/remembered";
import { announce, toast } from "../ui/toasts";
import type { Connected } from "./connect";

export interface Media {
  microphoneOn: boolean;
  cameraOn: boolean;
  screenOn: boolean;
  /** What is on its way and cannot be switched at the moment. */
  busy: Readonly<Record<MediaKind, boolean>>;
  toggleMicrophone: () => void;
  toggleCamera: () => void;
  toggleScreen: () => void;
  setMicrophone: (on: boolean) => void;
  switchDevice: (kind: MediaDeviceKind, deviceId: string) => void;
}

export function useMedia(arrivals: Connected["arrivals"]): Media {
  const room = useRoomContext();
  const { localParticipant, isMicrophoneEnabled, isCameraEnabled, isScreenShareEnabled } = useLocalParticipant();
  // The devices somebody came with are still arriving: a switch now would publish a second track beside them.
  const [busy, setBusy] = useState<Record<MediaKind, boolean>>({ microphone: true, camera: true, screen: false });
  const mark = (kind: MediaKind, on: boolean) => setBusy((now) => ({ ...now, [kind]: on }));

  useEffect(() => {
    for (const kind of ["microphone", "camera"] as const) {
      void arrivals[kind].then(() => setBusy((now) => ({ ...now, [kind]: false })));
    }
  }, [arrivals]);

  const turn = async (kind: MediaKind, run: () => Promise<unknown>, said: string) => {
    if (busy[kind]) return;
    mark(kind, true);
    try {
      await run();
      announce(said);
    } catch (error) {
      const failure = mediaFailure(error, window.isSecureContext);
      // Closing the browser's own picker is a decision, not an error.
      if (kind === "screen" && failure === "blocked") return;
      const { title, text } = advice(kind, failure);
      toast(`${title}. ${text}`, "danger");
    } finally {
      mark(kind, false);
    }
  };

  const setMicrophone = (on: boolean) =>
    void turn("microphone", () => localParticipant.setMicrophoneEnabled(on), on ? "Microphone on" : "Microphone off");

  return {
    microphoneOn: isMicrophoneEnabled,
    cameraOn: isCameraEnabled,
    screenOn: isScreenShareEnabled,
    busy,
    setMicrophone,
    toggleMicrophone: () => setMicrophone(!isMicrophoneEnabled),
    toggleCamera: () =>
      void turn("camera", () => localParticipant.setCameraEnabled(!isCameraEnabled), isCameraEnabled ? "Camera off" : "Camera on"),
    toggleScreen: () =>
      void turn(
        "screen",
        () => localParticipant.setScreenShareEnabled(!isScreenShareEnabled, { audio: true, selfBrowserSurface: "exclude" }),
        isScreenShareEnabled ? "You stopped sharing your screen" : "You are sharing your screen",
      ),
    switchDevice: (kind, deviceId) => {
      const what = { audioinput: "microphone", videoinput: "camera", audiooutput: "speaker" } as const;
      room.switchActiveDevice(kind, deviceId, true).then(
        () => remember({ [what[kind]]: deviceId }),
        () => toast(`The ${what[kind]} could not be changed.`, "danger"),
      );
    },
  };
}

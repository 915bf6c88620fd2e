/** The three switches of a call, with what went wrong said in words. */
import { useLocalParticipant, useRoomContext } from "@livekit/components-react";
import { useState } from "react";
import { advice, mediaFailure, type MediaKind } from "../lib/mediaFailure";
import { remember } from "../lib/remembered";
import { announce, toast } from "../ui/toasts";

export interface Media {
  microphoneOn: boolean;
  cameraOn: boolean;
  screenOn: boolean;
  busy: MediaKind | null;
  toggleMicrophone: () => void;
  toggleCamera: () => void;
  toggleScreen: () => void;
  setMicrophone: (on: boolean) => void;
  switchDevice: (kind: MediaDeviceKind, deviceId: string) => void;
}

export function useMedia(): Media {
  const room = useRoomContext();
  const { localParticipant, isMicrophoneEnabled, isCameraEnabled, isScreenShareEnabled } = useLocalParticipant();
  const [busy, setBusy] = useState<MediaKind | null>(null);

  const turn = async (kind: MediaKind, run: () => Promise<unknown>, said: string) => {
    if (busy === kind) return;
    setBusy(kind);
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
      setBusy(null);
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

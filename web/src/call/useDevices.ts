import { useEffect, useState } from "react";

/** The devices of one kind, kept current. Labels appear once the browser has given access. */
export function useDevices(kind: MediaDeviceKind, refreshOn: unknown): MediaDeviceInfo[] {
  const [devices, setDevices] = useState<MediaDeviceInfo[]>([]);
  useEffect(() => {
    if (!("mediaDevices" in navigator)) return;
    let current = true;
    const read = () => {
      navigator.mediaDevices.enumerateDevices().then(
        (all) => current && setDevices(all.filter((device) => device.kind === kind && device.deviceId !== "")),
        () => undefined,
      );
    };
    read();
    navigator.mediaDevices.addEventListener("devicechange", read);
    return () => {
      current = false;
      navigator.mediaDevices.removeEventListener("devicechange", read);
    };
  }, [kind, refreshOn]);
  return devices;
}

export function deviceLabel(device: MediaDeviceInfo, index: number): string {
  const fallback = { audioinput: "Microphone", audiooutput: "Speaker", videoinput: "Camera" }[device.kind];
  return device.label || `${fallback} ${index + 1}`;
}

export function canChooseSpeaker(): boolean {
  return "setSinkId" in HTMLMediaElement.prototype;
}

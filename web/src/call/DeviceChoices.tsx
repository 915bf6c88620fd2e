import { useRoomContext } from "@livekit/components-react";
import { RoomEvent } from "livekit-client";
import { useEffect, useState } from "react";
import { MenuChoice } from "../ui/Menu";
import { deviceLabel, useDevices } from "./useDevices";
import type { Media } from "./useMedia";

export function DeviceChoices({ kind, label, media }: { kind: MediaDeviceKind; label: string; media: Media }) {
  const room = useRoomContext();
  const devices = useDevices(kind, media);
  const [active, setActive] = useState(room.getActiveDevice(kind) ?? "default");
  useEffect(() => {
    const changed = (which: MediaDeviceKind, deviceId: string) => {
      if (which === kind) setActive(deviceId);
    };
    room.on(RoomEvent.ActiveDeviceChanged, changed);
    return () => void room.off(RoomEvent.ActiveDeviceChanged, changed);
  }, [room, kind]);
  const known = devices.some((device) => device.deviceId === active) ? active : (devices[0]?.deviceId ?? "");
  if (devices.length === 0) return <div className="menu-label">No {label.toLowerCase()} available</div>;
  return (
    <MenuChoice
      label={label}
      value={known}
      options={devices.map((device, index) => ({ value: device.deviceId, label: deviceLabel(device, index) }))}
      onChange={(deviceId) => media.switchDevice(kind, deviceId)}
    />
  );
}

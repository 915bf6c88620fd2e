/** Before the call: look at yourself, choose devices, hear that the microphone hears you. */
import { Camera, ChevronDown, CircleAlert, Mic, MicOff, Speaker, TriangleAlert, Video, VideoOff } from "lucide-react";
import type { LocalAudioTrack, LocalVideoTrack } from "livekit-client";
import { useEffect, useId, useRef, useState, type ReactNode } from "react";
import { Link } from "react-router";
import { advice, type MediaKind } from "../lib/mediaFailure";
import { nameError } from "../lib/rules";
import { remember, remembered } from "../lib/remembered";
import type { Problem } from "../api/problem";
import { Avatar } from "../ui/Avatar";
import { Brand } from "../ui/Brand";
import { Button, Field, Notice } from "../ui/controls";
import { ThemeMenu } from "../ui/ThemeMenu";
import { Level } from "./Level";
import { canChooseSpeaker, deviceLabel, useDevices } from "./useDevices";
import { usePreviewCamera, usePreviewMicrophone, type DeviceState, type PreviewDevice } from "./usePreview";

export interface Entrance {
  name: string;
  camera: Promise<LocalVideoTrack | undefined>;
  microphone: Promise<LocalAudioTrack | undefined>;
  cameraId: string | undefined;
  microphoneId: string | undefined;
  speakerId: string | undefined;
}

export function PreJoin({
  roomName,
  knownName,
  askName,
  joining,
  problem,
  onJoin,
}: {
  roomName: string;
  knownName: string;
  askName: boolean;
  joining: boolean;
  problem: Problem | null;
  onJoin: (entrance: Entrance) => void;
}) {
  const camera = usePreviewCamera();
  const microphone = usePreviewMicrophone();
  const [speakerId, setSpeakerId] = useState(remembered().speaker);
  const [name, setName] = useState(knownName);
  const [error, setError] = useState<string>();
  const nameBox = useRef<HTMLDivElement>(null);

  const join = () => {
    const wrong = nameError(name);
    setError(wrong);
    if (wrong) {
      nameBox.current?.querySelector("input")?.focus();
      return;
    }
    if (askName) remember({ name: name.trim() });
    onJoin({
      name: name.trim(),
      camera: camera.take(),
      microphone: microphone.take(),
      cameraId: camera.deviceId,
      microphoneId: microphone.deviceId,
      speakerId,
    });
  };

  return (
    <div className="prejoin">
      <div className="auth-glow" aria-hidden="true" />
      <header className="auth-top">
        <Link className="topbar-home" to="/" aria-label="AuraLink, your rooms">
          <Brand />
        </Link>
        <ThemeMenu />
      </header>
      <main className="prejoin-main" id="main">
        <Preview name={name || "?"} camera={camera} microphone={microphone} />
        <form
          className="prejoin-side"
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            join();
          }}
        >
          <div className="prejoin-head">
            <p className="soft">You are about to join</p>
            <h1>{roomName}</h1>
          </div>
          {problem && <JoinProblem problem={problem} />}
          <Trouble kind="camera" device={camera} />
          <Trouble kind="microphone" device={microphone} />
          {askName && (
            <div ref={nameBox}>
              <Field
                label="Your name"
                name="display_name"
                autoComplete="name"
                value={name}
                error={error}
                onChange={(event) => {
                  setName(event.target.value);
                  setError(undefined);
                }}
              />
            </div>
          )}
          <div className="prejoin-devices">
            <DevicePicker kind="videoinput" label="Camera" icon={<Camera size={18} />} refreshOn={camera.state.kind} value={activeId(camera)} onChange={camera.choose} />
            <DevicePicker kind="audioinput" label="Microphone" icon={<Mic size={18} />} refreshOn={microphone.state.kind} value={activeId(microphone)} onChange={microphone.choose} />
            {canChooseSpeaker() && (
              <DevicePicker
                kind="audiooutput"
                label="Speaker"
                icon={<Speaker size={18} />}
                refreshOn={microphone.state.kind}
                value={speakerId}
                onChange={(id) => {
                  setSpeakerId(id);
                  remember({ speaker: id });
                }}
              />
            )}
          </div>
          <Button type="submit" look="primary" large wide busy={joining}>
            {joining ? "Joining…" : "Join now"}
          </Button>
        </form>
      </main>
    </div>
  );
}

function activeId(device: PreviewDevice<LocalVideoTrack | LocalAudioTrack>): string | undefined {
  const settings = device.state.kind === "on" ? device.state.track.mediaStreamTrack.getSettings() : undefined;
  return settings?.deviceId ?? device.deviceId;
}

function Preview({ name, camera, microphone }: { name: string; camera: PreviewDevice<LocalVideoTrack>; microphone: PreviewDevice<LocalAudioTrack> }) {
  const on = microphone.state.kind === "on" ? microphone.state.track : undefined;
  return (
    <section className="preview" aria-label="Your preview">
      {camera.state.kind === "on" ? <PreviewVideo track={camera.state.track} /> : <PreviewRest name={name} state={camera.state} />}
      <div className="preview-bar">
        <Toggle kind="microphone" device={microphone} on={<Mic size={21} />} off={<MicOff size={21} />} />
        <Toggle kind="camera" device={camera} on={<Video size={21} />} off={<VideoOff size={21} />} />
      </div>
      <Level track={on} />
    </section>
  );
}

function PreviewVideo({ track }: { track: LocalVideoTrack }) {
  const ref = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const element = ref.current;
    if (!element) return;
    track.attach(element);
    return () => void track.detach(element);
  }, [track]);
  return <video ref={ref} className="preview-video" aria-label="Your camera" muted playsInline />;
}

function PreviewRest({ name, state }: { name: string; state: DeviceState<LocalVideoTrack> }) {
  const text = { off: "Your camera is off", starting: "Starting your camera…", failed: "No picture from your camera", on: "" }[state.kind];
  return (
    <div className="preview-rest">
      <Avatar name={name} large />
      <span>{text}</span>
    </div>
  );
}

function Toggle({ kind, device, on, off }: { kind: "camera" | "microphone"; device: PreviewDevice<LocalVideoTrack | LocalAudioTrack>; on: ReactNode; off: ReactNode }) {
  const active = device.state.kind === "on" || device.state.kind === "starting";
  const label = active ? `Turn off ${kind}` : `Turn on ${kind}`;
  return (
    <button type="button" className="stage-button" data-off={!active} aria-label={label} title={label} aria-pressed={active} onClick={() => device.turn(!active)}>
      {active ? on : off}
    </button>
  );
}

function Trouble({ kind, device }: { kind: MediaKind; device: PreviewDevice<LocalVideoTrack | LocalAudioTrack> }) {
  if (device.state.kind !== "failed") return null;
  const { title, text } = advice(kind, device.state.failure);
  return (
    <Notice alert tone="warn" icon={<TriangleAlert size={18} />} title={title}>
      <span>{text}</span>
      {device.state.failure !== "insecure" && (
        <span>
          <button type="button" className="text-button" onClick={() => device.turn(true)}>
            Try again
          </button>
        </span>
      )}
    </Notice>
  );
}

function JoinProblem({ problem }: { problem: Problem }) {
  return (
    <Notice alert tone="danger" icon={<CircleAlert size={18} />} title={problem.message}>
      {problem.sentence !== problem.message && <span>{problem.sentence}</span>}
      {problem.requestId && (
        <span className="request-id">
          Request <code>{problem.requestId}</code>
        </span>
      )}
    </Notice>
  );
}

function DevicePicker({
  kind,
  label,
  icon,
  refreshOn,
  value,
  onChange,
}: {
  kind: MediaDeviceKind;
  label: string;
  icon: ReactNode;
  refreshOn: unknown;
  value: string | undefined;
  onChange: (deviceId: string) => void;
}) {
  const id = useId();
  const devices = useDevices(kind, refreshOn);
  const known = devices.some((device) => device.deviceId === value);
  return (
    <div>
      <label className="visually-hidden" htmlFor={id}>
        {label}
      </label>
      <span className="select select-with-icon">
        <span className="select-icon" aria-hidden="true">
          {icon}
        </span>
        <select
          id={id}
          className="input"
          disabled={devices.length === 0}
          value={known ? value : (devices[0]?.deviceId ?? "")}
          onChange={(event) => onChange(event.target.value)}
        >
          {devices.length === 0 && <option value="">No {label.toLowerCase()} available</option>}
          {devices.map((device, index) => (
            <option key={device.deviceId} value={device.deviceId}>
              {deviceLabel(device, index)}
            </option>
          ))}
        </select>
        <ChevronDown size={17} aria-hidden="true" />
      </span>
    </div>
  );
}

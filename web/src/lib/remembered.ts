/** What a person chose the last time they joined, kept in this browser only. */
export interface Remembered {
  name?: string;
  camera?: string;
  microphone?: string;
  speaker?: string;
  cameraOn?: boolean;
  microphoneOn?: boolean;
  shortcutsOff?: boolean;
}

const KEY = "auralink.joining";

export function remembered(): Remembered {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

export function remember(choices: Remembered): void {
  try {
    localStorage.setItem(KEY, JSON.stringify({ ...remembered(), ...choices }));
  } catch {
    // Storage may be blocked: then people choose again next time.
  }
}

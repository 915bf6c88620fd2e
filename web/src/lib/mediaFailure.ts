/** Why a camera or microphone did not start, and what a person can do about it. */

export type MediaKind = "camera" | "microphone" | "screen";

export type MediaFailure = "insecure" | "blocked" | "blocked-by-system" | "missing" | "busy" | "other";

export interface Advice {
  title: string;
  text: string;
}

/** `secure`: whether the page may reach devices at all (window.isSecureContext). Error names: W3C Media Capture, 10.1. */
export function mediaFailure(error: unknown, secure: boolean): MediaFailure {
  if (!secure) return "insecure";
  const name = error instanceof Error ? error.name : "";
  const message = error instanceof Error ? error.message.toLowerCase() : "";
  if (name === "NotAllowedError" || name === "SecurityError") {
    return message.includes("system") ? "blocked-by-system" : "blocked";
  }
  if (name === "NotFoundError" || name === "OverconstrainedError" || name === "DevicesNotFoundError") return "missing";
  if (name === "NotReadableError" || name === "AbortError" || name === "TrackStartError") return "busy";
  return "other";
}

export function advice(kind: MediaKind, failure: MediaFailure): Advice {
  const noun = kind === "screen" ? "screen" : kind;
  switch (failure) {
    case "insecure":
      return {
        title: `The ${noun} needs a secure address`,
        text: "Browsers open devices only over https or on localhost. Open this page by its https address; you can still join to watch and chat.",
      };
    case "blocked":
      return {
        title: `Your ${noun} is blocked`,
        text: `This site is not allowed to use the ${noun}. Click the icon left of the address, allow the ${noun}, then try again.`,
      };
    case "blocked-by-system":
      return {
        title: `Your system blocks the ${noun}`,
        text: `Allow this browser to use the ${noun} in your system’s privacy settings, then try again.`,
      };
    case "missing":
      return {
        title: `No ${noun} found`,
        text: `Plug in a ${noun} and try again, or join without one.`,
      };
    case "busy":
      return {
        title: `Your ${noun} is in use`,
        text: `Another program seems to hold the ${noun}. Close it and try again.`,
      };
    case "other":
      return {
        title: `The ${noun} did not start`,
        text: `Try again, or choose another ${noun}. You can still join without one.`,
      };
  }
}

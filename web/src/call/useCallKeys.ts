import { useEffect, useEffectEvent, useRef } from "react";
import { remembered } from "../lib/remembered";
import { actionFor, isTyping, type Action } from "../lib/shortcuts";
import { announce } from "../ui/toasts";
import type { Media } from "./useMedia";

/** Single keys, and talking while the space bar is held. */
export function useCallKeys(media: Media, actions: Record<Action, () => void>): void {
  const talking = useRef(false);

  const down = useEffectEvent((event: KeyboardEvent) => {
    if (document.querySelector("dialog[open]") && event.key !== "?") return;
    const enabled = !remembered().shortcutsOff;
    if (enabled && event.key === " " && !event.repeat && isNowhere(event.target) && !media.microphoneOn) {
      event.preventDefault();
      talking.current = true;
      announce("Talking");
      media.setMicrophone(true);
      return;
    }
    const action = actionFor(event, isTyping(event.target), enabled);
    if (!action) return;
    event.preventDefault();
    actions[action]();
  });

  const up = useEffectEvent((event: KeyboardEvent) => {
    if (event.key !== " " || !talking.current) return;
    talking.current = false;
    media.setMicrophone(false);
  });

  useEffect(() => {
    const onDown = (event: KeyboardEvent) => down(event);
    const onUp = (event: KeyboardEvent) => up(event);
    document.addEventListener("keydown", onDown);
    document.addEventListener("keyup", onUp);
    return () => {
      document.removeEventListener("keydown", onDown);
      document.removeEventListener("keyup", onUp);
    };
  }, []);
}

/** The space bar belongs to a focused button; only on bare ground is it ours. */
function isNowhere(target: EventTarget | null): boolean {
  return target === document.body || target === document.documentElement;
}

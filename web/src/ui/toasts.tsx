/** Short messages that leave by themselves, and a quiet voice for screen readers. This module owns both lists. */
import { CircleAlert, CircleCheck, Info } from "lucide-react";
import { useSyncExternalStore } from "react";

type Tone = "info" | "good" | "danger";
interface Toast {
  id: number;
  text: string;
  tone: Tone;
}

const MOST_AT_ONCE = 3;
const SHOWN_MS = 4_500;
const SHOWN_DANGER_MS = 9_000;

let nextId = 1;
let shown: readonly Toast[] = [];
let announcement = "";
const listeners = new Set<() => void>();

export function toast(text: string, tone: Tone = "info"): void {
  const id = nextId++;
  shown = [...shown.filter((other) => other.text !== text), { id, text, tone }].slice(-MOST_AT_ONCE);
  changed();
  window.setTimeout(
    () => {
      shown = shown.filter((other) => other.id !== id);
      changed();
    },
    tone === "danger" ? SHOWN_DANGER_MS : SHOWN_MS,
  );
}

/** Says something to people who do not see the screen. */
export function announce(text: string): void {
  // A repeated text must still change the region to be read again.
  announcement = announcement === text ? `${text}\u00a0` : text;
  changed();
}

function changed(): void {
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function Toasts() {
  const toasts = useSyncExternalStore(subscribe, () => shown);
  const voice = useSyncExternalStore(subscribe, () => announcement);
  return (
    <>
      <div className="toasts" role="status" aria-live="polite">
        {toasts.map(({ id, text, tone }) => (
          <div key={id} className={`toast toast-${tone}`}>
            {tone === "danger" ? <CircleAlert size={18} /> : tone === "good" ? <CircleCheck size={18} /> : <Info size={18} />}
            {text}
          </div>
        ))}
      </div>
      <div className="visually-hidden" role="status" aria-live="polite" data-testid="announcer">
        {voice}
      </div>
    </>
  );
}

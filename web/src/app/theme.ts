/** Light, dark, or whatever the system says. */
import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";

const KEY = "auralink.theme";
const listeners = new Set<() => void>();

export function theme(): Theme {
  const stored = read();
  return stored === "light" || stored === "dark" ? stored : "system";
}

export function setTheme(next: Theme): void {
  try {
    if (next === "system") localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, next);
  } catch {
    // Storage may be blocked; the choice then lasts as long as the page.
  }
  apply(next);
  for (const listener of listeners) listener();
}

export function applyStoredTheme(): void {
  apply(theme());
}

export function useTheme(): Theme {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => {
      const shown = document.documentElement.dataset["theme"];
      return shown === "light" || shown === "dark" ? shown : "system";
    },
  );
}

function apply(next: Theme): void {
  const root = document.documentElement;
  if (next === "system") delete root.dataset["theme"];
  else root.dataset["theme"] = next;
}

function read(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

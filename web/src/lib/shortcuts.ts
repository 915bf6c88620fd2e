/** Keys of the call. One list feeds both the handler and the help overlay. */
export type Action = "microphone" | "camera" | "screen" | "chat" | "people" | "layout" | "help";

export const SHORTCUTS: readonly { key: string; action: Action; text: string }[] = [
  { key: "m", action: "microphone", text: "Microphone on or off" },
  { key: "v", action: "camera", text: "Camera on or off" },
  { key: "s", action: "screen", text: "Share your screen, or stop" },
  { key: "c", action: "chat", text: "Chat" },
  { key: "p", action: "people", text: "People" },
  { key: "l", action: "layout", text: "Grid or speaker layout" },
  { key: "?", action: "help", text: "This help" },
];

interface Key {
  key: string;
  ctrlKey: boolean;
  metaKey: boolean;
  altKey: boolean;
  repeat: boolean;
}

export function actionFor(event: Key, typing: boolean, enabled: boolean): Action | undefined {
  if (typing || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return undefined;
  // The help stays reachable, so that the keys can be turned on again.
  if (!enabled && event.key !== "?") return undefined;
  return SHORTCUTS.find(({ key }) => key === event.key.toLowerCase())?.action;
}

/** Whether the keyboard belongs to a field at the moment. */
export function isTyping(target: unknown): boolean {
  if (typeof target !== "object" || target === null || !("tagName" in target)) return false;
  const editable = "isContentEditable" in target && target.isContentEditable === true;
  return editable || ["INPUT", "TEXTAREA", "SELECT"].includes(String(target.tagName));
}

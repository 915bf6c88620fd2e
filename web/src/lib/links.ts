/** Splits a message into text and web addresses, so that addresses can be links while everything stays text. */
export type Piece = { kind: "text"; text: string } | { kind: "link"; text: string; href: string };

const ADDRESS = /https?:\/\/[^\s<>"]+/gi;
const TRAILING = /[.,;:!?'")\]}]+$/;

export function pieces(message: string): Piece[] {
  const found: Piece[] = [];
  let at = 0;
  for (const match of message.matchAll(ADDRESS)) {
    const text = match[0].replace(TRAILING, "");
    if (!isAddress(text)) continue;
    if (match.index > at) found.push({ kind: "text", text: message.slice(at, match.index) });
    found.push({ kind: "link", text, href: text });
    at = match.index + text.length;
  }
  if (at < message.length) found.push({ kind: "text", text: message.slice(at) });
  return found;
}

function isAddress(text: string): boolean {
  try {
    return ["http:", "https:"].includes(new URL(text).protocol);
  } catch {
    return false;
  }
}

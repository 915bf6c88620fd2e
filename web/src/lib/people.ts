/** How a person is shown: initials and one of eight hues, both from the name alone so that everybody sees the same. */

export function initials(name: string): string {
  const words = name.trim().split(/\s+/).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  const shown = letters.map((word) => firstLetter(word ?? "")).join("");
  return shown.toLocaleUpperCase() || "?";
}

/** The first letter as a reader sees it, which may be several code points. */
function firstLetter(word: string): string {
  for (const { segment } of new Intl.Segmenter().segment(word)) return segment;
  return "";
}

export function hueOf(seed: string): number {
  let hash = 0;
  for (const char of seed) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) >>> 0;
  return hash % 8;
}

import { hueOf, initials } from "../lib/people";

export function Avatar({ name, large = false }: { name: string; large?: boolean }) {
  return (
    // Decoration, so the letters are drawn by the style sheet: beside them the name stands in full.
    <span className={`avatar hue-${hueOf(name)} ${large ? "avatar-large" : ""}`} data-initials={initials(name)} aria-hidden="true" />
  );
}

import { hueOf, initials } from "../lib/people";

export function Avatar({ name, large = false }: { name: string; large?: boolean }) {
  return (
    <span className={`avatar hue-${hueOf(name)} ${large ? "avatar-large" : ""}`} aria-hidden="true">
      {initials(name)}
    </span>
  );
}

/** Who stands where. Places are stable: people move only when somebody who speaks would otherwise be out of sight. */
export interface Placed {
  key: string;
  local: boolean;
  screen: boolean;
  speaking: boolean;
}

export function placeTiles<T extends Placed>(before: readonly string[], tiles: readonly T[], perPage: number): T[] {
  const byKey = new Map(tiles.map((tile) => [tile.key, tile]));
  const kept = before.flatMap((key) => byKey.get(key) ?? []);
  const known = new Set(before);
  const placed = [...kept, ...tiles.filter((tile) => !known.has(tile.key))];
  placed.sort((a, b) => rank(a) - rank(b));
  return bringSpeakersForward(placed, perPage);
}

function rank(tile: Placed): number {
  return tile.screen ? 0 : tile.local ? 1 : 2;
}

function bringSpeakersForward<T extends Placed>(placed: readonly T[], perPage: number): T[] {
  const first = placed.slice(0, perPage);
  const rest = placed.slice(perPage);
  for (const [from, hidden] of rest.entries()) {
    if (!hidden.speaking) continue;
    const to = first.findLastIndex((tile) => !tile.speaking && !tile.local && !tile.screen);
    const silent = first[to];
    if (!silent) break;
    first[to] = hidden;
    rest[from] = silent;
  }
  return [...first, ...rest];
}

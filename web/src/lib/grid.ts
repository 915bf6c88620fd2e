/** The arrangement of equal tiles that wastes the least of a rectangle. */
export interface Grid {
  columns: number;
  rows: number;
  /** Pixels. */
  width: number;
  height: number;
}

const WIDEST = 16 / 9;
const TALLEST = 4 / 5;
const TALLEST_ON_WIDE = 4 / 3;

export function gridFor(count: number, width: number, height: number, gap: number): Grid {
  const tallest = width > height ? TALLEST_ON_WIDE : TALLEST;
  let best: Grid = { columns: 1, rows: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= Math.max(1, count); columns++) {
    const rows = Math.ceil(Math.max(1, count) / columns);
    const cell = fit((width - gap * (columns - 1)) / columns, (height - gap * (rows - 1)) / rows, tallest);
    if (cell.width * cell.height > best.width * best.height) best = { columns, rows, ...cell };
  }
  return best;
}

function fit(width: number, height: number, tallest: number): { width: number; height: number } {
  if (width <= 0 || height <= 0) return { width: 0, height: 0 };
  const ratio = width / height;
  if (ratio > WIDEST) return { width: Math.floor(height * WIDEST), height: Math.floor(height) };
  if (ratio < tallest) return { width: Math.floor(width), height: Math.floor(width / tallest) };
  return { width: Math.floor(width), height: Math.floor(height) };
}

/** How many tiles one page of the grid holds before they become too small to recognise a face. */
export function pageSize(width: number, height: number): number {
  const smallest = width < 640 ? 150 * 130 : 220 * 140;
  return Math.min(25, Math.max(width < 640 ? 4 : 6, Math.floor((width * height) / smallest)));
}

/**
 * Where windows of the trained size lie on something larger, and in which order they are filled. Places are counted in
 * cells of the coarsest grid. Pure.
 */

export interface Window {
  readonly left: number;
  readonly top: number;
}

interface Extent {
  readonly rows: number;
  readonly columns: number;
  /** Of a window. */
  readonly side: number;
}

/**
 * Windows that together cover an extent, each at most `step` from the one before it. From the origin to either side,
 * then the rows of windows above and below.
 */
export function windowsFrom(origin: Window, { rows, columns, side }: Extent, step: number): Window[] {
  const lefts = startsFrom(origin.left, columns - side, step);
  return startsFrom(origin.top, rows - side, step).flatMap((top) => lefts.map((left) => ({ left, top })));
}

/** From `origin` up to `last` in steps, then down to 0. */
function startsFrom(origin: number, last: number, step: number): number[] {
  const starts = [origin];
  for (let at = origin; at < last; ) {
    at = Math.min(last, at + step);
    starts.push(at);
  }
  for (let at = origin; at > 0; ) {
    at = Math.max(0, at - step);
    starts.push(at);
  }
  return starts;
}

/**
 * Three quarters of a window: a quarter of what it sees is known, so that pictures meet. With half of it known a prior
 * of pictures of one thing each draws halves of things.
 */
export const stepAnywhere = (side: number): number => Math.max(1, Math.floor((3 * side) / 4));

/**
 * Half a window, for a prior that draws in order: what it sees of the cells before one is what taming-transformers'
 * sliding window shows, at least half a window to the left and above.
 */
export const stepInOrder = (side: number): number => Math.max(1, Math.floor(side / 2));

/**
 * Windows that can be filled at the same time: each comes after all that come before it in `windows` and share cells
 * with it.
 */
export function wavesOf(windows: readonly Window[], side: number): Window[][] {
  const meet = (a: Window, b: Window) => Math.abs(a.left - b.left) < side && Math.abs(a.top - b.top) < side;
  const waves: Window[][] = [];
  const waveOf: number[] = [];
  for (const [i, window] of windows.entries()) {
    let wave = 0;
    for (let before = 0; before < i; before++)
      if (waveOf[before]! >= wave && meet(windows[before]!, window)) wave = waveOf[before]! + 1;
    waveOf.push(wave);
    waves[wave] = [...(waves[wave] ?? []), window];
  }
  return waves;
}

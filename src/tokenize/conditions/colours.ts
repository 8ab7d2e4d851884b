/** Colours as codes: eight levels of red, of green and of blue. */

const levels = 8;

export const colourCodes = levels ** 3;

const level = (value: number): number =>
  Math.min(levels - 1, Math.max(0, Math.round(((value + 1) / 2) * (levels - 1))));

/** Of values in [−1, 1], the nearest. */
export const colourCode = (red: number, green: number, blue: number): number =>
  (level(red) * levels + level(green)) * levels + level(blue);

/** The reverse; white of a code that is none. */
export function colourOf(code: number): [number, number, number] {
  if (code < 0 || code >= colourCodes) return [1, 1, 1];
  const value = (digit: number) => (2 * (digit % levels)) / (levels - 1) - 1;
  return [value(Math.floor(code / levels ** 2)), value(Math.floor(code / levels)), value(code)];
}

/** What label maps consist of: colours, each of which means something. */
import { expected, type UserError } from '../base/errors.js';
import { toBytes } from './pictures.js';

export interface MapLabel {
  /** `#3c1098`. */
  readonly colour: string;
  /** Share of the pixels of all training maps. */
  readonly share: number;
}

export function hexOfBytes(red: number, green: number, blue: number): string {
  return `#${((red << 16) | (green << 8) | blue).toString(16).padStart(6, '0')}`;
}

/** Of values in [−1, 1]. */
export function hexOf(red: number, green: number, blue: number): string {
  const byte = (value: number) => Math.round((value + 1) * 127.5);
  return hexOfBytes(byte(red), byte(green), byte(blue));
}

/** Red, green and blue of `#3c1098`, in [−1, 1]. */
export function valuesOf(hex: string): [number, number, number] {
  const value = (at: number) => Number.parseInt(hex.slice(at, at + 2), 16) / 127.5 - 1;
  return [value(1), value(3), value(5)];
}

/** How many pixels have each colour, and the first map in which it is. */
export type Colours = Map<string, { pixels: number; first: string }>;

/** @param data 8-bit RGB of the map `name` */
export function countColours(colours: Colours, data: Uint8Array, name: string): void {
  let last = -1;
  let found = { pixels: 0, first: name };
  for (let at = 0; at < data.length; at += 3) {
    const number = (data[at]! << 16) | (data[at + 1]! << 8) | data[at + 2]!;
    if (number !== last) {
      last = number;
      const colour = hexOfBytes(data[at]!, data[at + 1]!, data[at + 2]!);
      found = colours.get(colour) ?? { pixels: 0, first: name };
      colours.set(colour, found);
    }
    found.pixels++;
  }
}

/** The colours of a map [H, W, 3] in [−1, 1], for `checkColours`. */
export function coloursOf(map: Float32Array, name: string): Colours {
  const found: Colours = new Map();
  countColours(found, toBytes({ dtype: 'float32', shape: [map.length], data: map }), name);
  return found;
}

/** Each pixel of 8-bit RGB as the nearest of some colours, in place. */
export function snap(data: Uint8Array, colours: readonly string[]): void {
  const known = colours.map((colour) => valuesOf(colour).map((value) => (value + 1) * 127.5));
  for (let at = 0; at < data.length; at += 3) {
    let [best, least] = [known[0], Number.POSITIVE_INFINITY];
    for (const colour of known) {
      const away = colour.reduce((sum, value, c) => sum + (value - data[at + c]!) ** 2, 0);
      if (away < least) [best, least] = [colour, away];
    }
    if (best) data.set(best, at);
  }
}

/** Share of the pixels of two 8-bit RGB pictures that are of one colour. */
export function shareAlike(a: Uint8Array, b: Uint8Array): number {
  let alike = 0;
  for (let at = 0; at < a.length; at += 3)
    if (a[at] === b[at] && a[at + 1] === b[at + 1] && a[at + 2] === b[at + 2]) alike++;
  return alike / (a.length / 3);
}

/** The most frequent first. */
export function labelsOf(colours: Colours): MapLabel[] {
  const pixels = [...colours.values()].reduce((sum, { pixels }) => sum + pixels, 0);
  return [...colours]
    .map(([colour, found]) => ({ colour, share: found.pixels / pixels }))
    .sort((a, b) => b.share - a.share || (a.colour < b.colour ? -1 : 1));
}

/** `Maps of 2 colours: #000000 71.0 %, #1f77b4 29.0 %.` */
export function describeLabels(labels: readonly MapLabel[]): string {
  const each = labels.map(({ colour, share }) => `${colour} ${(100 * share).toFixed(1)} %`);
  return `Maps of ${labels.length} colours: ${each.join(', ')}.`;
}

export const mostLabels = 256;

/** @param where the key that named `dir` */
export const tooManyColours = (where: string, dir: string, name: string): UserError =>
  expected(
    `maps of at most ${mostLabels} colours`,
    where,
    `${dir}, which has more by ${name}`,
    'Each colour means something: such maps are saved without loss, as PNG. Maps of depth have a tokenizer of their own.',
  );

const mostNamed = 8;

/** Of many the first few. */
const someOf = (colours: readonly string[]): string =>
  colours.slice(0, mostNamed).join(', ') +
  (colours.length > mostNamed ? ` and ${colours.length - mostNamed} more` : '');

/** @throws UserError for a colour that is none of the labels, naming the map */
export function checkColours(
  found: ReadonlyMap<string, { readonly first: string }>,
  labels: readonly Pick<MapLabel, 'colour'>[],
): void {
  const known = labels.map(({ colour }) => colour);
  const strange = [...found].filter(([colour]) => !known.includes(colour));
  const [first] = strange;
  if (!first) return;
  throw expected(
    `a map of the colours ${someOf(known)}`,
    first[1].first,
    someOf(strange.map(([colour]) => colour)),
    'Those are all that are known: a map is saved without loss, in the colours of the training maps.',
  );
}

/** @throws UserError for maps of a single colour, which tell nothing */
export function checkSeveral(
  labels: readonly { readonly colour: string }[],
  where: string,
  dir: string,
): void {
  if (labels.length > 1) return;
  const received = `${dir}, where all is ${labels[0]?.colour}`;
  throw expected('maps of two colours or more', where, received, 'Each colour means something.');
}

/**
 * Where each tensor of vqgen's comes from in a published checkpoint, and goes to: names, shapes, and the order of the
 * axes.
 */
import { expected, type UserError } from '../base/errors.js';
import { must, pairs } from '../base/lookup.js';
import {
  firstAxis,
  float32,
  type HostTensor,
  type HostTensors,
  lastAxis,
  type Shape4,
  sizeOf,
} from '../base/tensor.js';
import type { StoredTensor, StoredTensors } from '../checkpoint/safetensors.js';
import type { TensorFile } from './torch-file.js';

export interface Named {
  readonly name: string;
  readonly shape: readonly number[];
}

export interface Place {
  readonly ours: Named;
  /** In turn; more than one where vqgen holds as one what the checkpoint holds apart. */
  readonly theirs: readonly Named[];
  /**
   * `same`: values in the same order; `filter`: [kh, kw, in, out] for their [out, in, kh, kw]; `columns`: [in, out]
   * for their [out, in]. Several tensors follow each other along the last axis of ours.
   */
  readonly order: 'same' | 'filter' | 'columns';
  /** Which rows of theirs (along the first axis of a table, also [1, N, D]) ours holds; left out: all, in order. */
  readonly rows?: readonly number[];
}

const valuesOf = (t: StoredTensor, name: string): Float32Array => {
  if (t.data instanceof Float32Array) return t.data;
  throw expected('floats', `the tensor ${name}`, `values of type ${t.dtype}`);
};

/** Our tensors, by our names. */
export async function fetchAll(places: readonly Place[], { read }: TensorFile): Promise<HostTensors> {
  const found: HostTensors = {};
  for (const place of places) found[place.ours.name] = await fetchPlace(place, read);
  return found;
}

/** Our tensor from theirs. */
export async function fetchPlace(place: Place, read: TensorFile['read']): Promise<HostTensor> {
  const parts: Float32Array[] = [];
  for (const { name, shape } of place.theirs) {
    const all = valuesOf(await read(name), name);
    const values = place.rows ? rowsOf(all, rowSize(shape), place.rows) : all;
    parts.push(inOurOrder(place, values));
  }
  const [only, another] = parts;
  return float32(place.ours.shape, only && !another ? only : beside(parts, place.ours));
}

/**
 * Their tensors from ours. Where ours holds some of their rows only, the others are those of `kept`, or zeros; of rows
 * that ours holds twice the first counts.
 */
export function spreadPlace(
  place: Place,
  { data }: HostTensor,
  kept: StoredTensors,
): Record<string, HostTensor> {
  const { theirs, ours } = place;
  const parts =
    theirs.length === 1 ? [data as Float32Array] : apart(data as Float32Array, ours, theirs.length);
  const found: Record<string, HostTensor> = {};
  for (const [{ name, shape }, part] of pairs(theirs, parts)) {
    const values = inTheirOrder(place, part);
    if (!place.rows) found[name] = float32(shape, values);
    else {
      const whole = float32(shape, kept[name] && Float32Array.from(valuesOf(kept[name], name)));
      const size = rowSize(shape);
      for (const [row, at] of [...place.rows.entries()].reverse())
        whole.data.set(values.subarray(row * size, (row + 1) * size), at * size);
      found[name] = whole;
    }
  }
  return found;
}

/** Whether ours holds all that theirs does. */
export function coversAll({ theirs: [first], rows }: Place): boolean {
  const { shape } = must(first, 'tensor');
  return !rows || new Set(rows).size === sizeOf(shape) / rowSize(shape);
}

/** Values of a row, of a table [N, …] or [1, N, D]. */
function rowSize(shape: readonly number[]): number {
  return sizeOf(shape.slice(shape.length === 3 ? 2 : 1));
}

function rowsOf(values: Float32Array, size: number, rows: readonly number[]): Float32Array {
  const chosen = new Float32Array(rows.length * size);
  for (const [i, row] of rows.entries()) chosen.set(values.subarray(row * size, (row + 1) * size), i * size);
  return chosen;
}

function inOurOrder({ order, ours }: Place, values: Float32Array): Float32Array {
  if (order === 'same') return values;
  if (order === 'columns') return transposed(values, values.length / firstAxis(ours), firstAxis(ours));
  const [height, width, inputs, outputs] = ours.shape as Shape4;
  const area = height * width;
  return transposed(values, outputs, inputs * area, (row) => (row % area) * inputs + Math.floor(row / area));
}

function inTheirOrder({ order, ours }: Place, values: Float32Array): Float32Array {
  if (order === 'same') return values;
  if (order === 'columns') return transposed(values, firstAxis(ours), values.length / firstAxis(ours));
  const [height, width, inputs, outputs] = ours.shape as Shape4;
  const area = height * width;
  const moved = new Float32Array(values.length);
  let to = 0;
  for (let o = 0; o < outputs; o++)
    for (let i = 0; i < inputs; i++)
      for (let k = 0; k < area; k++) moved[to++] = values[(k * inputs + i) * outputs + o]!;
  return moved;
}

/** [rows, columns] → [columns, rows]; the result's rows in another order where `place` says so. */
function transposed(
  values: Float32Array,
  rows: number,
  columns: number,
  place = (column: number) => column,
): Float32Array {
  const moved = new Float32Array(values.length);
  for (let column = 0; column < columns; column++) {
    const to = place(column) * rows;
    for (let row = 0; row < rows; row++) moved[to + row] = values[row * columns + column]!;
  }
  return moved;
}

/** Tensors of equal shape, one after another along the last axis. */
function beside(parts: readonly Float32Array[], whole: Named): Float32Array {
  const width = lastAxis(whole) / parts.length;
  const joined = new Float32Array(sizeOf(whole.shape));
  for (const [i, part] of parts.entries())
    for (let at = 0; at < part.length; at += width)
      joined.set(part.subarray(at, at + width), at * parts.length + i * width);
  return joined;
}

function apart(values: Float32Array, whole: Named, count: number): Float32Array[] {
  const width = lastAxis(whole) / count;
  return Array.from({ length: count }, (_, i) => {
    const part = new Float32Array(values.length / count);
    for (let at = 0; at < part.length; at += width)
      part.set(values.subarray(at * count + i * width, at * count + (i + 1) * width), at);
    return part;
  });
}

/** Every tensor has a place and every place a tensor, of its shape. @throws UserError that lists what is not so */
export function checkPlaces(
  wanted: readonly Named[],
  { entries }: Pick<TensorFile, 'entries'>,
  o: { file: string; what: string; next: string },
): void {
  const missing: string[] = [];
  const other: string[] = [];
  for (const { name, shape } of wanted) {
    const given = Object.hasOwn(entries, name) ? entries[name] : undefined;
    if (!given) missing.push(`${name} [${shape}]`);
    else if (given.shape.join() !== shape.join())
      other.push(`${name} [${given.shape}] in place of [${shape}]`);
  }
  const known = new Set(wanted.map(({ name }) => name));
  const left = Object.entries(entries)
    .filter(([name]) => !known.has(name))
    .map(([name, { shape }]) => `${name} [${shape}]`);
  if (missing.length + other.length + left.length > 0) throw mismatch({ missing, other, left }, o);
}

function mismatch(
  lists: Record<'missing' | 'other' | 'left', string[]>,
  { file, what, next }: { file: string; what: string; next: string },
): UserError {
  const { missing, other, left } = lists;
  const parts = [
    ...(missing.length > 0 ? [`one without ${some(missing)}`] : []),
    ...(other.length > 0 ? [`one with ${some(other)}`] : []),
    ...(left.length > 0 ? [`one with tensors that have no place there: ${some(left)}`] : []),
  ];
  return expected(`the tensors of ${what}`, file, parts.join('; '), next);
}

/** A few, then a count. */
function some(items: readonly string[]): string {
  const shown = items.slice(0, 4).join(', ');
  return items.length > 4 ? `${shown} and ${items.length - 4} more` : shown;
}

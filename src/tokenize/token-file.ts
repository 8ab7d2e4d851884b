/** Token files: the codes of a split's images, with what is needed to check where they came from. */
import { existsSync } from 'node:fs';
import { expected } from '../base/errors.js';
import { must } from '../base/lookup.js';
import { type HostTensors, int32 } from '../base/tensor.js';
import {
  type Metadata,
  openRowsWriter,
  openSafetensors,
  type SafetensorsFile,
  toHost,
} from '../checkpoint/safetensors.js';
import { endToEnd } from '../stage1-vqgan/grids.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import type { ConditionRecord } from './conditions/condition.js';

export interface TokenInfo {
  /** sha256 of the tokenizer's `model.safetensors`. */
  readonly tokenizer: string;
  /** Side of the images, pixels. */
  readonly size: number;
  /** File names, in the order of the rows: that of an image as often as it has codings. */
  readonly names: readonly string[];
  readonly classes: readonly string[];
  /** M: each image's codings are M rows, one after another; 1 unless given. */
  readonly codings?: number;
  /** What is told of each row beside its class. */
  readonly condition?: ConditionRecord;
}

export interface Tokens extends TokenInfo {
  readonly codings: number;
  readonly grids: readonly Grid[];
  /** [N, T], all grids end to end. */
  readonly codes: Uint16Array | Uint32Array;
  /** N, rows: images times codings. */
  readonly count: number;
  /** [N], into `classes`. */
  readonly labels: Int32Array;
  /** [N, G], where there is a condition. */
  readonly told?: Uint16Array | Uint32Array;
}

/** The narrowest type that holds codes 0 … K−1. */
const codesType = (vocab: number): 'U16' | 'U32' => (vocab <= 2 ** 16 ? 'U16' : 'U32');

function toStoredCodes(codes: ArrayLike<number>, vocab: number): Uint16Array | Uint32Array {
  return codesType(vocab) === 'U16' ? Uint16Array.from(codes) : Uint32Array.from(codes);
}

/** A file of one grid holds `codes` and says `vocab`; of several it holds `codes.NAME` of each and says `grids`. */
const tensorOf = (grids: readonly Grid[], { name }: Grid): string =>
  grids.length === 1 ? 'codes' : `codes.${name}`;

/** Of what is told of each row, [N, h, w]. */
const toldTensor = 'condition';

export interface TokenWriter {
  /** Each grid's codes [n, h, w] by its name. @param told [n · G], where there is a condition */
  append(codes: HostTensors, told?: Int32Array): Promise<void>;
  /** @param labels of all rows */
  finish(info: TokenInfo, labels: Int32Array): Promise<void>;
  /** Gives up: nothing stays. */
  abort(): Promise<void>;
}

export async function openTokenWriter(
  file: string,
  grids: readonly Grid[],
  condition?: ConditionRecord,
): Promise<TokenWriter> {
  const rowOf = ({ height, width, vocab }: Grid) => ({ dtype: codesType(vocab), row: [height, width] });
  const rows = grids.map((grid) => [tensorOf(grids, grid), rowOf(grid)] as const);
  if (condition) rows.push([toldTensor, rowOf(condition.grid)]);
  const writer = await openRowsWriter(file, Object.fromEntries(rows));
  const [only, another] = grids;
  return {
    append: (codes, told) =>
      writer.append({
        ...Object.fromEntries(
          grids.map((grid) => {
            const { data } = must(codes[grid.name], grid.name);
            return [tensorOf(grids, grid), toStoredCodes(data, grid.vocab)];
          }),
        ),
        ...(condition && { [toldTensor]: toStoredCodes(must(told, 'told'), condition.grid.vocab) }),
      }),
    finish: (info, labels) =>
      writer.finish(
        { labels: int32([labels.length], labels) },
        {
          tokenizer: info.tokenizer,
          ...(only && !another ? { vocab: `${only.vocab}` } : { grids: JSON.stringify(grids) }),
          size: `${info.size}`,
          names: JSON.stringify(info.names),
          classes: JSON.stringify(info.classes),
          codings: `${info.codings ?? 1}`,
          ...(condition && { condition: JSON.stringify(condition) }),
        },
      ),
    abort: () => writer.abort(),
  };
}

/** The grids of an open token file; none of another file. */
export function gridsIn({
  entries,
  metadata,
}: Pick<SafetensorsFile, 'entries' | 'metadata'>): readonly Grid[] {
  const { grids, vocab } = metadata as Metadata & { grids?: string; vocab?: string };
  if (grids) return JSON.parse(grids);
  const [, height, width] = entries.codes?.shape ?? [];
  if (!vocab || height === undefined || width === undefined) return [];
  return [{ name: 'codes', height, width, vocab: Number(vocab) }];
}

/** What summaries say of grids: the sizes of a single one; of several the largest, and all of them by their names. */
export const sizesOf = <G extends Grid>(grids: readonly G[]) => {
  const largest = (size: 'vocab' | 'height' | 'width') => Math.max(...grids.map((grid) => grid[size]));
  const sizes = { vocab: largest('vocab'), height: largest('height'), width: largest('width') };
  return grids.length > 1 ? { ...sizes, grids } : sizes;
};

/** For people: `8 × 8 tokens of 256 codes`; of several grids with their names. */
export const describeGrids = (grids: readonly Grid[]): string =>
  grids
    .map(
      ({ name, height, width, vocab }) =>
        `${height} × ${width} tokens of ${vocab} codes${grids.length > 1 ? ` (${name})` : ''}`,
    )
    .join(' and ');

/** @throws UserError when there is no such file, or it is no token file */
export async function readTokens(file: string, next: string): Promise<Tokens> {
  if (!existsSync(file)) throw expected('a token file', file, 'no such file', next);
  const opened = await openSafetensors(file);
  try {
    const { tokenizer, size, names, classes, codings = '1' } = opened.metadata;
    const grids = gridsIn(opened);
    const missing = grids.some((grid) => opened.entries[tensorOf(grids, grid)]?.shape.length !== 3);
    if (!tokenizer || !size || !names || !classes || grids.length === 0 || missing) {
      throw expected('a token file', file, 'a file without codes or their description', next);
    }
    const labels = (await opened.read('labels')).data as Int32Array;
    const { condition } = opened.metadata;
    return {
      codes: await readCodes(opened, grids),
      labels,
      count: labels.length,
      grids,
      tokenizer,
      size: Number(size),
      names: JSON.parse(names),
      classes: JSON.parse(classes),
      codings: Number(codings),
      ...(condition && {
        condition: JSON.parse(condition),
        told: (await opened.read(toldTensor)).data as Tokens['codes'],
      }),
    };
  } finally {
    await opened.close();
  }
}

async function readCodes(
  { read }: Pick<SafetensorsFile, 'read'>,
  grids: readonly Grid[],
): Promise<Tokens['codes']> {
  if (grids.length === 1) return (await read('codes')).data as Tokens['codes'];
  const tensors: HostTensors = {};
  for (const grid of grids) tensors[grid.name] = toHost(await read(tensorOf(grids, grid)));
  return toStoredCodes(endToEnd(grids, tensors), Math.max(...grids.map(({ vocab }) => vocab)));
}

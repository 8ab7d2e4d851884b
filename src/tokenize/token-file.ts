/** Token files: the codes of a split's images, with what is needed to check where they came from. */
import { existsSync } from 'node:fs';
import * as z from 'zod';
import { expected, UserError } from '../base/errors.js';
import { must, only, pairs } from '../base/lookup.js';
import { type HostTensors, int32 } from '../base/tensor.js';
import { checkContent, described, withContentSum } from '../checkpoint/content-sum.js';
import { openRowsWriter } from '../checkpoint/rows-writer.js';
import { type Metadata, openSafetensors, type SafetensorsFile } from '../checkpoint/safetensors.js';
import { endToEnd } from '../stage1-vqgan/grids.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import { type ConditionRecord, recordSchema } from './conditions/condition.js';

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
    finish: async (info, labels) => {
      const others = { labels: int32([labels.length], labels) };
      const metadata = {
        tokenizer: info.tokenizer,
        ...(only && !another ? { vocab: `${only.vocab}` } : { grids: JSON.stringify(grids) }),
        size: `${info.size}`,
        names: JSON.stringify(info.names),
        classes: JSON.stringify(info.classes),
        codings: `${info.codings ?? 1}`,
        ...(condition && { condition: JSON.stringify(condition) }),
      };
      const held = { ...writer.described(), labels: described(others.labels) };
      await writer.finish(others, withContentSum(metadata, held));
    },
    abort: () => writer.abort(),
  };
}

type Opened = Pick<SafetensorsFile, 'entries' | 'metadata'>;

const whole = z.int().positive();
const wholeIn = (text = ''): number | undefined => (/^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined);
const gridsSchema = z.array(z.object({ name: z.string(), height: whole, width: whole, vocab: whole })).min(1);
const textsSchema = z.array(z.string());

/** What is JSON of this kind, or undefined. */
function jsonOf<T>(schema: z.ZodType<T>, text: string | undefined): T | undefined {
  try {
    return schema.safeParse(JSON.parse(text ?? '')).data;
  } catch {
    return undefined;
  }
}

/** The grids of an open token file; none of another file, or where they are not what vqgen writes. */
export function gridsIn({ entries, metadata }: Opened): readonly Grid[] {
  const { grids, vocab } = metadata as Metadata & { grids?: string; vocab?: string };
  if (grids !== undefined) return jsonOf(gridsSchema, grids) ?? [];
  const [, height, width] = entries.codes?.shape ?? [];
  return jsonOf(gridsSchema, JSON.stringify([{ name: 'codes', height, width, vocab: Number(vocab) }])) ?? [];
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

/**
 * Reads a token file and checks all of it: a code that its grid does not have would be trained on like any other.
 *
 * @param next what to do where it is missing or damaged
 * @throws UserError when there is no such file, it is no token file, or not what was written
 */
export async function readTokens(file: string, next: string): Promise<Tokens> {
  const { info, count, labels, rows, close } = await openTokenReader(file, next);
  try {
    const { codes, told } = await rows(0, count);
    return { ...info, codes: joined(info.grids, codes, count), labels, count, ...(told && { told }) };
  } finally {
    await close();
  }
}

/** A token file of whose codes only those asked for are in memory. */
export interface TokenReader {
  readonly info: Omit<Tokens, 'codes' | 'count' | 'labels' | 'told'>;
  readonly count: number;
  readonly labels: Int32Array;
  /**
   * Of `rows` rows from `first` on, or as many as there are: each grid's codes, in its order, and what is told.
   *
   * @throws UserError for a code that its grid does not have
   */
  rows(first: number, rows: number): Promise<{ codes: Tokens['codes'][]; told?: Tokens['codes'] }>;
  close(): Promise<void>;
}

/** Checks all but the codes themselves. @throws UserError as `readTokens` */
export async function openTokenReader(file: string, next: string): Promise<TokenReader> {
  if (!existsSync(file)) throw expected('a token file', file, 'no such file', next);
  const opened = await openSafetensors(file).catch((error) => {
    throw error instanceof UserError ? new UserError(`${error.message} ${next}`, { cause: error }) : error;
  });
  try {
    const refuse = (received: string): UserError => expected('a token file', file, received, next);
    await checkContent(opened, file, next);
    const info = infoOf(opened, refuse);
    const { grids, condition, names, classes, codings } = info;
    if (opened.entries.labels?.dtype !== 'I32') throw refuse('a file without codes or their description');
    const labels = (await opened.read('labels')).data as Int32Array;
    const count = labels.length;
    if (names.length !== count || count % codings !== 0)
      throw refuse(`${names.length} names for ${count} rows in ${codings} codings`);
    const strange = labels.find((label) => label < 0 || label >= classes.length);
    if (strange !== undefined) throw refuse(`the label ${strange} of ${classes.length} classes`);
    const rows: TokenReader['rows'] = async (first, rows) => {
      const codesOf = (name: string, grid: Grid) =>
        readCodes(opened, name, { ...grid, count, first, rows }, refuse);
      const codes: Tokens['codes'][] = [];
      for (const grid of grids) codes.push(await codesOf(tensorOf(grids, grid), grid));
      return { codes, ...(condition && { told: await codesOf(toldTensor, condition.grid) }) };
    };
    return { info, count, labels, rows, close: () => opened.close() };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

function infoOf(opened: Opened, refuse: (received: string) => UserError) {
  const { tokenizer, size, names, classes, codings = '1', condition } = opened.metadata;
  const grids = gridsIn(opened);
  const texts = { names: jsonOf(textsSchema, names), classes: jsonOf(textsSchema, classes) };
  const numbers = { size: wholeIn(size), codings: wholeIn(codings) };
  const told = condition === undefined ? undefined : jsonOf(recordSchema, condition);
  const known = { tokenizer, ...texts, ...numbers, condition: condition === undefined ? null : told };
  const missing = Object.entries(known).find(([, value]) => value === undefined || value === '')?.[0];
  if (grids.length === 0) throw refuse('a file without codes or their description');
  if (missing !== undefined) throw refuse(`a file whose ${missing} cannot be read`);
  return {
    grids,
    tokenizer: must(tokenizer, 'tokenizer'),
    size: must(numbers.size, 'size'),
    codings: must(numbers.codings, 'codings'),
    names: must(texts.names, 'names'),
    classes: must(texts.classes, 'classes'),
    ...(told && { condition: told }),
  };
}

/** Rows of the [N, h, w] of a grid. @throws UserError for another shape or type, or a code that the grid does not have */
async function readCodes(
  { entries, readRows }: Pick<SafetensorsFile, 'entries' | 'readRows'>,
  name: string,
  { height, width, vocab, count, first, rows }: Grid & { count: number; first: number; rows: number },
  refuse: (received: string) => UserError,
): Promise<Tokens['codes']> {
  const { dtype, shape = [] } = entries[name] ?? {};
  const wanted = [count, height, width];
  if (dtype === undefined) throw refuse(`a file without ${name}`);
  if (shape.join() !== wanted.join()) throw refuse(`${name} [${shape}] where [${wanted}] is described`);
  if (dtype !== 'U16' && dtype !== 'U32') throw refuse(`${name} of type ${dtype}`);
  const codes = (await readRows(name, first, rows)).data as Tokens['codes'];
  for (let i = 0; i < codes.length; i++)
    if (codes[i]! >= vocab) throw refuse(`${name} with the code ${codes[i]}, of codes 0 to ${vocab - 1}`);
  return codes;
}

/** Each grid's codes as one sequence for each row. */
function joined(grids: readonly Grid[], parts: readonly Tokens['codes'][], count: number): Tokens['codes'] {
  if (grids.length === 1) return only(parts);
  const tensors = Object.fromEntries(
    pairs(grids, parts).map(([{ name, height, width }, codes]) => [
      name,
      int32([count, height, width], Int32Array.from(codes)),
    ]),
  );
  return toStoredCodes(endToEnd(grids, tensors), Math.max(...grids.map(({ vocab }) => vocab)));
}

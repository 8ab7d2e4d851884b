/** Token files: the codes of a split's images, with what is needed to check where they came from. */
import { existsSync } from 'node:fs';
import { expected } from '../base/errors.js';
import { openSafetensors, type RowsWriter } from '../checkpoint/safetensors.js';

export interface TokenInfo {
  /** sha256 of the tokenizer's `model.safetensors`. */
  readonly tokenizer: string;
  /** Number K of codes. */
  readonly vocab: number;
  /** Side of the images, pixels. */
  readonly size: number;
  /** File names, in the order of the rows: that of an image as often as it has codings. */
  readonly names: readonly string[];
  readonly classes: readonly string[];
  /** M: each image's codings are M rows, one after another; 1 unless given. */
  readonly codings?: number;
}

export interface Tokens extends TokenInfo {
  readonly codings: number;
  /** [N, h, w] */
  readonly codes: Uint16Array | Uint32Array;
  /** N, rows: images times codings. */
  readonly count: number;
  readonly height: number;
  readonly width: number;
  /** [N], into `classes`. */
  readonly labels: Int32Array;
}

/** The narrowest type that holds codes 0 … K−1. */
export const codesType = (vocab: number): 'U16' | 'U32' => (vocab <= 2 ** 16 ? 'U16' : 'U32');

export function toStoredCodes(codes: ArrayLike<number>, vocab: number): Uint16Array | Uint32Array {
  return codesType(vocab) === 'U16' ? Uint16Array.from(codes) : Uint32Array.from(codes);
}

/** Completes a file whose codes were written row by row. */
export async function finishTokens(writer: RowsWriter, info: TokenInfo, labels: Int32Array): Promise<void> {
  await writer.finish(
    { labels: { dtype: 'I32', shape: [labels.length], data: labels } },
    {
      tokenizer: info.tokenizer,
      vocab: `${info.vocab}`,
      size: `${info.size}`,
      names: JSON.stringify(info.names),
      classes: JSON.stringify(info.classes),
      codings: `${info.codings ?? 1}`,
    },
  );
}

/** @throws UserError when there is no such file, or it is no token file */
export async function readTokens(file: string, next: string): Promise<Tokens> {
  if (!existsSync(file)) throw expected('a token file', file, 'no such file', next);
  const opened = await openSafetensors(file);
  try {
    const { tokenizer, vocab, size, names, classes, codings = '1' } = opened.metadata;
    const shape = opened.entries.codes?.shape ?? [];
    if (!tokenizer || !vocab || !size || !names || !classes || shape.length !== 3) {
      throw expected('a token file', file, 'a file without codes or their description', next);
    }
    const [count, height, width] = shape as [number, number, number];
    return {
      codes: (await opened.read('codes')).data as Uint16Array | Uint32Array,
      labels: (await opened.read('labels')).data as Int32Array,
      count,
      height,
      width,
      tokenizer,
      vocab: Number(vocab),
      size: Number(size),
      names: JSON.parse(names),
      classes: JSON.parse(classes),
      codings: Number(codings),
    };
  } finally {
    await opened.close();
  }
}

/** A published tokenizer among the tensors of a checkpoint: under which prefix, and what of it is only kept. */
import { expected } from '../base/errors.js';
import type { Named } from './places.js';
import {
  condStage,
  embeddingsIn,
  type Overrides,
  type Section,
  sectionAt,
  shapesOf,
  tokenizerConfig,
} from './taming-config.js';
import type { PublishedTokenizer } from './taming-names.js';
import type { TensorFile } from './torch-file.js';

export interface FoundTokenizer {
  /** Its keys, without those of its losses. */
  readonly overrides: Overrides;
  readonly published: PublishedTokenizer;
  /** Whether `loss.…` is a discriminator, or LPIPS, that vqgen goes on training with. */
  holds(part: string): boolean;
  /** Kept as they are. */
  readonly other: readonly Named[];
}

/** @param o.params its section of the YAML. @param o.size side of its pictures, where the user says it */
export async function tokenizerIn(
  file: TensorFile,
  {
    prefix,
    params,
    size,
    checkpoint,
  }: { prefix: string; params: Section; size?: number; checkpoint: string },
): Promise<FoundTokenizer> {
  const shape = shapesOf(file);
  const used = await usedCodes(file, prefix, checkpoint);
  const overrides = tokenizerConfig(shape, params, { file: checkpoint, prefix, size, used: used?.length });
  // Losses of maps are others than vqgen's, and a tokenizer of what is told is finished.
  const aside = prefix === condStage || 'data.pictures' in overrides;
  const losses = namesUnder(file, `${prefix}loss.`);
  const keptLosses = aside ? losses : [];
  const loss = sectionAt(params, 'lossconfig');
  return {
    overrides,
    published: {
      embeddings: embeddingsIn(shape, prefix),
      ...(used && { used }),
      ...(keptLosses.length > 0 && loss && { loss }),
    },
    holds: (part) => !aside && losses.some((name) => name.startsWith(prefix + part)),
    other: [
      ...(used ? [{ name: `${prefix}quantize.used`, shape: [used.length] }] : []),
      ...[...namesUnder(file, `${prefix}colorize`), ...keptLosses].map((name) => ({
        name,
        shape: shape(name) ?? [],
      })),
    ],
  };
}

const namesUnder = ({ entries }: TensorFile, prefix: string): string[] =>
  Object.keys(entries).filter((name) => name.startsWith(prefix));

/** The codes that a tokenizer's transformer knows, by their numbers in the whole codebook. */
async function usedCodes(file: TensorFile, prefix: string, name: string): Promise<number[] | undefined> {
  const shape = shapesOf(file);
  if (!shape(`${prefix}quantize.used`)) return undefined;
  const { data } = await file.read(`${prefix}quantize.used`);
  const used = Array.from(data as ArrayLike<number | bigint>, Number);
  const codes = embeddingsIn(shape, prefix);
  const known = used.every((code) => Number.isInteger(code) && code >= 0 && code < codes);
  if (used.length === 0 || !known || new Set(used).size < used.length) {
    throw expected('the numbers of different codes', `quantize.used in ${name}`, 'something else');
  }
  return used;
}

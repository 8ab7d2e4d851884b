/**
 * What is told of a picture, as codes on a grid that come first on a prior's canvas. Each kind is a file beside this
 * one and an entry of `index.ts`; what has learned weights has those of a tokenizer (`learned.ts`).
 */
import * as z from 'zod';
import type { ConditionConfig } from '../../config/conditions.js';
import type { MapLabel } from '../../data/map-labels.js';
import type { PictureKind } from '../../data/reading.js';
import type { Grid } from '../../stage1-vqgan/latent.js';

/** All that a kind needs to tell of pictures what a prior was told of those it was trained on; JSON. */
export interface ConditionRecord {
  readonly kind: Exclude<ConditionConfig['kind'], 'none'>;
  /** Side S of the pictures. */
  readonly size: number;
  /** Its last code says that nothing is told. */
  readonly grid: Grid;
  /** `maps`: the colours of a map; without a tokenizer in the order of their codes. */
  readonly labels?: readonly MapLabel[];
  readonly tokenizer?: ConditionTokenizer;
}

/** What makes codes of it, where learned weights do. */
export interface ConditionTokenizer {
  /** Of its `model.safetensors`; left out of the tokenizer of the images. */
  readonly sha256?: string;
  /** What it takes. */
  readonly pictures: PictureKind;
  /** Side of what it takes, pixels. */
  readonly pixels: number;
}

const whole = z.int().positive();

/** What JSON of a record must be. */
export const recordSchema: z.ZodType<ConditionRecord> = z.object({
  kind: z.enum(['edges', 'lowres', 'palette', 'maps']),
  size: whole,
  grid: z.object({ name: z.string(), height: whole, width: whole, vocab: whole }),
  labels: z
    .array(z.object({ colour: z.string().regex(/^#[0-9a-f]{6}$/), share: z.number() }))
    .exactOptional(),
  tokenizer: z
    .object({
      sha256: z.string().exactOptional(),
      pictures: z.enum(['photographs', 'labels', 'depth']),
      pixels: whole,
    })
    .exactOptional(),
});

/** Makes codes of what pictures tell, or where the kind is `maps` their maps. */
export interface Conditioner {
  readonly record: ConditionRecord;
  /** [S, S, 3] in [−1, 1] each → codes [n · h · w]. */
  codes(images: readonly Float32Array[]): Promise<Int32Array>;
  /** Codes [h · w], as far as they tell it, for people: [S, S, 3] in [−1, 1]. */
  shown(codes: Int32Array): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/** One without learned weights. */
export interface Plain {
  readonly record: ConditionRecord;
  /** [S, S, 3] in [−1, 1] → codes [h · w]. */
  codes(image: Float32Array): Int32Array;
  /** The reverse as far as it goes. */
  shown(codes: ArrayLike<number>): Float32Array;
}

export const conditionGrid = (height: number, width: number, codes: number): Grid => ({
  ...{ name: 'condition', height, width },
  vocab: codes + 1,
});

/** For people: `edges, 8 × 8 codes`. */
export function describeCondition({ kind, grid, labels, tokenizer }: ConditionRecord): string {
  const colours = labels ? ` of ${labels.length} colours` : '';
  const of = tokenizer ? ` by the tokenizer ${tokenizer.sha256?.slice(0, 8) ?? 'of the images'}` : '';
  return `${kind}, ${grid.height} × ${grid.width} codes${colours}${of}`;
}

/** [S, S, 3] of colours [r, g, b] in [−1, 1], by the cell and the pixel. */
export function shownCells(
  { size, grid: { height, width } }: Pick<ConditionRecord, 'size' | 'grid'>,
  colourOf: (cell: number, x: number, y: number) => readonly [number, number, number],
): Float32Array {
  const image = new Float32Array(size * size * 3);
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) {
      const cell = Math.floor((y * height) / size) * width + Math.floor((x * width) / size);
      image.set(colourOf(cell, x, y), 3 * (y * size + x));
    }
  return image;
}

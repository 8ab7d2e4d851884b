/**
 * What is told of a picture, as codes on a grid that come first on a prior's canvas. Each kind is a file beside this
 * one and an entry of `index.ts`; none has learned weights.
 */
import type { ConditionConfig } from '../../config/conditions.js';
import type { Grid } from '../../stage1-vqgan/latent.js';

/** All that a kind needs to tell of pictures what a prior was told of those it was trained on; JSON. */
export interface ConditionRecord {
  readonly kind: Exclude<ConditionConfig['kind'], 'none'>;
  /** Side S of the pictures. */
  readonly size: number;
  /** Its last code says that nothing is told. */
  readonly grid: Grid;
  /** `maps`: the colours of a map, in the order of their codes. */
  readonly labels?: readonly MapLabel[];
}

export interface MapLabel {
  /** `#3c1098`. */
  readonly colour: string;
  /** Share of the pixels of all training maps. */
  readonly share: number;
}

/** Makes codes of what a picture, or its map, tells. */
export interface Conditioner {
  readonly record: ConditionRecord;
  /** A picture, or where the kind is `maps` a map, [S, S, 3] in [−1, 1] → codes [h · w]. */
  codes(image: Float32Array): Int32Array;
  /** The reverse as far as it goes, for people: [S, S, 3] in [−1, 1]. */
  shown(codes: ArrayLike<number>): Float32Array;
}

export const conditionGrid = (height: number, width: number, codes: number): Grid => ({
  ...{ name: 'condition', height, width },
  vocab: codes + 1,
});

/** The code that says that nothing is told. */
export const untold = ({ vocab }: Pick<Grid, 'vocab'>): number => vocab - 1;

/** For people: `edges, 8 × 8 codes`. */
export const describeCondition = ({ kind, grid, labels }: ConditionRecord): string =>
  `${kind}, ${grid.height} × ${grid.width} codes${labels ? ` of ${labels.length} colours` : ''}`;

/** [S, S, 3] of colours [r, g, b] in [−1, 1], by the cell and the pixel. */
export function shownCells(
  { size, grid: { height, width } }: ConditionRecord,
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

/**
 * The codes of images as a prior reads and completes them: one sequence each, of which some are known and some are to
 * be drawn.
 */

export interface Canvas {
  /** [B, T]: all grids end to end, row by row; `unknown` where a code is to be drawn. */
  readonly codes: Int32Array;
  /** [B], into the classes that the prior knows; `unknown` of an image without. */
  readonly labels: Int32Array;
}

export const unknown = -1;

/** Nothing known but the labels. */
export const blankCanvas = (cells: number, labels: Int32Array): Canvas => ({
  codes: new Int32Array(labels.length * cells).fill(unknown),
  labels,
});

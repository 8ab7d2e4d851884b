/**
 * MaskGIT's tokens: codes 0 … K − 1, the mask K, and where there are classes K + 1 without one, K + 2 + c of class c.
 */
import { type HostTensor, int32 } from '../../base/tensor.js';
import { type Canvas, unknown } from '../canvas.js';
import { type MaskgitSizes, tokensIn } from './network.js';

export const maskToken = ({ codes }: Pick<MaskgitSizes, 'codes'>): number => codes;

/** @param label `unknown` without a class */
export const classToken = ({ codes }: Pick<MaskgitSizes, 'codes'>, label: number): number =>
  codes + 2 + label;

/** int32 [B, S]: the class's token where there are classes, then the codes, unknown ones masked. */
export function tokensOf(sizes: MaskgitSizes, { codes, labels }: Canvas): HostTensor {
  const { cells, classes } = sizes;
  const ids = int32([labels.length, tokensIn(sizes)]);
  let at = 0;
  for (const [row, label] of labels.entries()) {
    if (classes > 0) ids.data[at++] = classToken(sizes, label);
    for (let cell = 0; cell < cells; cell++) {
      const code = codes[row * cells + cell] ?? unknown;
      ids.data[at++] = code === unknown ? maskToken(sizes) : code;
    }
  }
  return ids;
}

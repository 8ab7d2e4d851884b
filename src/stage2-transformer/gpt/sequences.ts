/** A GPT's tokens: codes 0 … K − 1, then what begins a sequence: K without a class, K + 1 + c of class c. */
import { expected } from '../../base/errors.js';
import { must } from '../../base/lookup.js';
import { stream } from '../../base/rng.js';
import { float32, type HostTensor, type HostTensors, int32, lastAxis } from '../../base/tensor.js';
import { type Canvas, unknown } from '../canvas.js';

/** @param label `unknown` without a class */
export const startToken = (codes: number, label = unknown): number => codes + 1 + label;

/** [B] of labels [B]. */
export const startTokens = (codes: number, labels: Int32Array): Int32Array =>
  labels.map((label) => startToken(codes, label));

export interface Sequences {
  /** int32 [B, T]: the start token, then all codes but the last. */
  readonly ids: HostTensor;
  /** int32 [B, T]: the codes. */
  readonly targets: HostTensor;
}

/** @param codes K */
export function sequencesOf(codes: number, canvas: Canvas): Sequences {
  const batch = canvas.labels.length;
  const tokens = canvas.codes.length / batch;
  const ids = int32([batch, tokens]);
  for (const [row, start] of startTokens(codes, canvas.labels).entries()) {
    ids.data[row * tokens] = start;
    ids.data.set(canvas.codes.subarray(row * tokens, (row + 1) * tokens - 1), row * tokens + 1);
  }
  return { ids, targets: int32([batch, tokens], canvas.codes) };
}

/**
 * Of the codes that go in (not of those to predict, nor of the start tokens) a share 1 − `pkeep` replaced by random
 * ones.
 *
 * @param o.vocabulary [T], how many codes each cell may have. @param o.given how many of them are told, and stay
 */
export function corrupted(
  ids: HostTensor,
  o: { pkeep: number; vocabulary: Int32Array; given?: number; seed: number; step: number },
): HostTensor {
  const rng = stream(o.seed, 'pkeep', o.step);
  const tokens = o.vocabulary.length;
  const { given = 0 } = o;
  return int32(
    ids.shape,
    Int32Array.from(ids.data, (id, i) =>
      i % tokens > given && rng.uniform() >= o.pkeep ? rng.below(o.vocabulary[(i % tokens) - 1]!) : id,
    ),
  );
}

/** A table in which what begins a sequence is a row among the codes': the row `start`, or of class c the row c. */
interface OneTable {
  /** Left out where sequences begin with codes. */
  readonly start?: number;
  readonly classes: number;
}

/** The rows of such a table that a GPT's has, in its order. */
export const rowsOfOneTable = (codes: number, { start, classes }: OneTable): number[] => [
  ...Array.from({ length: codes }, (_, code) => code),
  ...(start === undefined ? [] : [start]),
  ...Array.from({ length: classes }, (_, label) => label),
];

/**
 * The weights of a GPT for such a table. What begins a sequence stands at the first position and nothing else does,
 * so that what our start token has and that code has not can be added to this position.
 *
 * @throws UserError where classes are no codes either
 */
export function foldStart(weights: HostTensors, codes: number, { start, classes }: OneTable): HostTensors {
  if (start === undefined) return weights;
  const table = must(weights['tokens.weight'], 'tokens.weight');
  const width = lastAxis(table);
  const row = (i: number) => table.data.subarray(i * width, (i + 1) * width);
  const differs = (a: number, b: number) => row(a).some((v, i) => !Object.is(v, row(b)[i]));
  for (let label = 0; label < Math.min(classes, codes); label++) {
    if (!differs(startToken(codes, label), label)) continue;
    throw expected(
      'classes that are codes too',
      '--to taming',
      'a prior that was trained on since it was imported',
      'Published transformers have one table for both; --to onnx takes it as it is.',
    );
  }
  const own = startToken(codes);
  if (classes > 0 || start >= codes || !differs(own, start)) return weights;
  const positions = must(weights.positions, 'positions');
  const moved = Float32Array.from(positions.data);
  for (let i = 0; i < width; i++) moved[i] = positions.data[i]! + row(own)[i]! - row(start)[i]!;
  return { ...weights, positions: float32(positions.shape, moved) };
}

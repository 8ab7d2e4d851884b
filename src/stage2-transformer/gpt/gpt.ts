/**
 * The prior over code sequences: a GPT as taming-transformers trains it (Esser et al., arXiv 2012.09841; layout after
 * Radford et al., GPT-2), or with the options of `nn/transformer.ts`, rotary positions, and trained in many orders
 * (Yu et al., RAR, arXiv 2411.00776). A start token stands before the first code, one for each class where there are
 * classes; or a sequence begins with a code that is told, as published conditional transformers have it. Logits are over
 * the K codes only.
 *
 * Places: 0 the start token's, c + 1 that of cell c; without a start token c. The token at a place predicts the code of
 * the place behind it; in training it may be that of any other, see `orders.ts`.
 *
 * Shapes: B sequences, T tokens, K codes, C classes, D width, H heads, E = D/H, N = B·T rows. Weights are [in, out].
 */
import * as tf from '@tensorflow/tfjs-core';
import { last, must } from '../../base/lookup.js';
import { causalParts, selfAttention } from '../../nn/attention.js';
import { cachedAttention } from '../../nn/cached-attention.js';
import { type Dropout, noDropout } from '../../nn/dropout.js';
import { linear } from '../../nn/linear.js';
import { lookup } from '../../nn/lookup.js';
import type { ParamSpec, TensorTree } from '../../nn/params.js';
import { type Turns, turnsAt } from '../../nn/rotary.js';
import {
  type BlockOptions,
  blockSpecs,
  normed,
  normSpecs,
  transformer,
  transformerInit,
} from '../../nn/transformer.js';

export interface GptSizes extends BlockOptions {
  readonly layers: number;
  /** K: what begins a sequence is a row of the token table from K on, see `sequences.ts`. */
  readonly codes: number;
  /** C; none unless given. */
  readonly classes?: number;
  /** Whether sequences begin with a code: the token table has no other rows; not unless given. */
  readonly told?: boolean;
  /** T, length of a sequence. */
  readonly tokens: number;
  /** Rotary positions of the `placesOf` it. */
  readonly turns?: Turns;
  /** Whether there are none that are learned: rotary ones suffice, for a single grid. */
  readonly unplaced?: boolean;
  /**
   * Whether it is trained in other orders than that of the cells, and is told which cell comes next; not unless given.
   */
  readonly annealed?: boolean;
}

export type Gpt = ReturnType<typeof gptSpecs>;

/**
 * At how many places a token may stand: behind the last cell there is nothing to predict, unless that came earlier.
 */
export const placesOf = ({ tokens, annealed = false }: Pick<GptSizes, 'tokens' | 'annealed'>): number =>
  annealed ? tokens + 1 : tokens;

/** Linear and embedding weights N(0, 0.02²), positions and biases 0, norms γ 1, β 0. */
export function gptSpecs(o: GptSizes) {
  const { layers, width, codes, classes = 0, told = false, tokens, unplaced = false, annealed = false } = o;
  const rows = told ? codes : codes + 1 + classes;
  const table = (rows: number): ParamSpec => ({ shape: [rows, width], init: { kind: 'zeros' } });
  return {
    tokens: { weight: { shape: [rows, width], init: transformerInit } as ParamSpec },
    ...(!unplaced && { positions: table(placesOf(o)) }),
    /** By the cell that comes next (RAR, section 3.3). */
    ...(annealed && { targets: table(tokens) }),
    blocks: Array.from({ length: layers }, () => blockSpecs(o)),
    norm: normSpecs(o),
    head: { weight: { shape: [width, codes], init: transformerInit } as ParamSpec },
  };
}

/** Where tokens stand, and which cell each predicts; both int32, of the shape of `ids` or broadcasting to it. */
export interface Order {
  readonly places: tf.Tensor;
  readonly next: tf.Tensor;
}

/**
 * ids int32 [B, T] (what begins a sequence, then codes) → logits [B, T, K] for the code that follows each.
 *
 * @param more.order that of the cells unless given
 */
export function gptLogits(
  o: GptSizes,
  params: TensorTree<Gpt>,
  ids: tf.Tensor,
  { dropout = noDropout, order, layers }: { dropout?: Dropout; order?: Order; layers?: typeof linear } = {},
): tf.Tensor {
  const [batch, tokens] = ids.shape as [number, number];
  const embedded = embed(params, ids, order); // [B, T, D]
  const start = dropout(tf.reshape(embedded, [batch * tokens, o.width])); // [N, D]
  const causal = causalParts(tokens);
  const attend = (qkv: tf.Tensor) => selfAttention(qkv, o.heads, { tokens, causal });
  const turns = o.turns && turnsAt(o.turns, order?.places ?? tokens);
  return tf.reshape(
    readOut(params, transformer(o, params.blocks, start, attend, { turns, dropout, layers })),
    [batch, tokens, o.codes],
  );
}

/** ids int32 [..., T] → [..., T, D]; without an order T is all of a sequence. */
function embed({ tokens, positions, targets }: TensorTree<Gpt>, ids: tf.Tensor, order?: Order): tf.Tensor {
  const rows = (table: tf.Tensor, at: tf.Tensor | undefined) =>
    at ? lookup(table as tf.Tensor2D, at) : firstRows(table, last(ids.shape));
  const codes = lookup(tokens.weight as tf.Tensor2D, ids);
  const placed = positions ? tf.add(codes, rows(positions, order?.places)) : codes;
  return targets ? tf.add(placed, rows(targets, order?.next)) : placed;
}

const firstRows = (table: tf.Tensor, count: number): tf.Tensor =>
  table.shape[0] === count ? table : tf.slice(table, 0, count);

/** What one step of next-token sampling needs; `keys` and `values` hold a tensor [B, H, L, E] for each layer. */
export interface CachedInputs {
  /** int32 [B]: the token before the one to draw. */
  readonly ids: tf.Tensor;
  /** int32 [1]: its place in the sequence, from 0 on. */
  readonly position: tf.Tensor;
  /** [1, 1, 1, L]: 0 for places before `position`, −10⁹ for those that are not filled yet. */
  readonly mask: tf.Tensor;
  readonly keys: readonly tf.Tensor[];
  readonly values: readonly tf.Tensor[];
}

/**
 * `gptLogits` for one place, from cached keys and values: logits [B, K], and each layer's query, key and value [B,
 * 3D], as attention takes them.
 */
export function cachedStep(
  o: GptSizes,
  params: TensorTree<Gpt>,
  { ids, position, mask, keys, values }: CachedInputs,
): { logits: tf.Tensor; qkv: tf.Tensor[] } {
  const all: tf.Tensor[] = [];
  const logits = nextLogits(o, params, { ids, position }, (qkv, layer) => {
    all.push(qkv);
    return cachedAttention(
      qkv,
      { keys: must(keys[layer], 'keys'), values: must(values[layer], 'values'), mask },
      o.heads,
    );
  });
  return { logits, qkv: all };
}

/**
 * `gptLogits` for one place, [B, K]. `attend` gives what a layer's queries, keys and values [B, 3D] make of the
 * places up to this one, [B, D].
 */
export function nextLogits(
  o: GptSizes,
  params: TensorTree<Gpt>,
  { ids, position }: Pick<CachedInputs, 'ids' | 'position'>,
  attend: (qkv: tf.Tensor, layer: number) => tf.Tensor,
): tf.Tensor {
  const x = embed(params, ids, { places: position, next: position }); // [B, D]
  const turns = o.turns && turnsAt(o.turns, position);
  return readOut(params, transformer(o, params.blocks, x, attend, { turns }));
}

/** [N, D] → logits [N, K]. */
const readOut = (params: TensorTree<Gpt>, x: tf.Tensor): tf.Tensor =>
  linear(params.head, normed(params.norm, x));

/** Drawing one code from a row of logits or of probabilities: temperature, top-k, top-p. */
import { notFinite } from '../base/errors.js';

export interface Choice {
  /** Divides the logits; below 1 favours likely codes. */
  readonly temperature: number;
  /** Only the k likeliest codes; 0 is off. */
  readonly topK: number;
  /**
   * Only the likeliest codes that together have at least this probability (Holtzman et al., arXiv 1904.09751); 1 is
   * off.
   */
  readonly topP: number;
}

/** Reused from call to call: the logits in an order that changes, and the weights of all codes. */
let scratch = { ordered: new Float32Array(0), weights: new Float64Array(0) };

/**
 * The code at the point `uniform` of the cumulative distribution, codes in their own order. With both cuts, top-p
 * counts probability among the top k. Codes exactly as likely as the last one kept are kept too.
 *
 * @param logits [K], not changed
 * @param uniform in [0, 1)
 * @throws UserError for logits that give none a chance, which are no numbers
 */
export function choose(logits: Float32Array, choice: Choice, uniform: number): number {
  const codes = logits.length;
  if (scratch.weights.length !== codes) {
    scratch = { ordered: new Float32Array(codes), weights: new Float64Array(codes) };
  }
  const { weights } = scratch;
  const cut = threshold(logits, choice);
  const highest = maximum(logits);
  let total = 0;
  for (let i = 0; i < codes; i++) {
    const logit = logits[i]!;
    const weight = logit >= cut ? Math.exp((logit - highest) / choice.temperature) : 0;
    weights[i] = weight;
    total += weight;
  }
  if (!(total > 0)) throw notFinite('the chances of codes');
  let left = uniform * total;
  let last = 0;
  for (let i = 0; i < codes; i++) {
    const own = weights[i]!;
    if (own === 0) continue;
    last = i;
    left -= own;
    if (left < 0) return i;
  }
  return last;
}

/** The lowest logit that may be drawn. */
function threshold(logits: Float32Array, { temperature, topK, topP }: Choice): number {
  const limited = topK > 0 && topK < logits.length;
  if (!limited && topP >= 1) return Number.NEGATIVE_INFINITY;
  const { ordered } = scratch;
  ordered.set(logits);
  const first = limited ? ordered.length - topK : 0;
  if (limited) select(ordered, first);
  if (topP >= 1) return ordered[first]!;

  const ascending = ordered.subarray(first).sort();
  const highest = ascending.at(-1)!;
  const weights = ascending.map((logit) => Math.exp((logit - highest) / temperature));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let at = weights.length;
  for (let gathered = 0; at > 0 && gathered < topP * total; ) gathered += weights[--at]!;
  return ascending[at]!;
}

/**
 * Reorders `values` until place `nth` holds what sorting would put there, nothing larger before it, nothing smaller
 * after (Hoare's FIND).
 */
function select(values: Float32Array, nth: number): void {
  for (let left = 0, right = values.length - 1; left < right; ) {
    const pivot = values[(left + right) >> 1]!;
    let [i, j] = [left, right];
    while (i <= j) {
      while (values[i]! < pivot) i++;
      while (pivot < values[j]!) j--;
      if (i > j) break;
      const swapped = values[i]!;
      values[i++] = values[j]!;
      values[j--] = swapped;
    }
    if (nth <= j) right = j;
    else if (nth >= i) left = i;
    else return;
  }
}

function maximum(values: Float32Array): number {
  let highest = Number.NEGATIVE_INFINITY;
  for (const value of values) if (value > highest) highest = value;
  return highest;
}

/**
 * As `choose`, from probabilities in place of logits; a temperature has acted on them already.
 *
 * @param probabilities [K], not changed; they need not sum to 1
 */
export function chooseByProbability(
  probabilities: Float32Array,
  { topK, topP }: Pick<Choice, 'topK' | 'topP'>,
  uniform: number,
): number {
  const least = leastProbability(probabilities, topK, topP);
  let total = 0;
  for (let i = 0; i < probabilities.length; i++) if (probabilities[i]! >= least) total += probabilities[i]!;
  if (!(total > 0)) throw notFinite('the chances of codes');
  let left = uniform * total;
  let last = 0;
  for (let i = 0; i < probabilities.length; i++) {
    const p = probabilities[i]!;
    if (p < least || p === 0) continue;
    last = i;
    left -= p;
    if (left < 0) return i;
  }
  return last;
}

/** The lowest probability that may be drawn. */
function leastProbability(probabilities: Float32Array, topK: number, topP: number): number {
  const limited = topK > 0 && topK < probabilities.length;
  if (!limited && topP >= 1) return 0;
  let kept = probabilities;
  if (limited) {
    const ordered = Float32Array.from(probabilities);
    const first = ordered.length - topK;
    select(ordered, first);
    if (topP >= 1) return ordered[first]!;
    kept = ordered.subarray(first);
  }
  let total = 0;
  for (let i = 0; i < kept.length; i++) total += kept[i]!;
  // Codes below this have less than 1 − topP in all: those above suffice, and are few.
  const floor = ((1 - topP) * total) / kept.length;
  const likely = kept.filter((p) => p >= floor).sort();
  let at = likely.length;
  for (let gathered = 0; at > 0 && gathered < topP * total; ) gathered += likely[--at]!;
  return likely[at] ?? 0;
}

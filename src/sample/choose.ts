/** Drawing one code from a row of logits: temperature, top-k, top-p. Pure. */
export interface Choice {
  /** Divides the logits; below 1 favours likely codes. */
  readonly temperature: number;
  /** Only the k likeliest codes; 0 is off. */
  readonly topK: number;
  /** Only the likeliest codes that together have at least this probability (Holtzman et al., arXiv 1904.09751); 1 is off. */
  readonly topP: number;
}

/**
 * The code at the point `uniform` of the cumulative distribution, codes in their own order. With both cuts, top-p
 * counts probability among the top k. Codes exactly as likely as the last one kept are kept too.
 *
 * @param logits [K], not changed
 * @param uniform in [0, 1)
 */
export function choose(logits: Float32Array, { temperature, topK, topP }: Choice, uniform: number): number {
  const cut = threshold(logits, { temperature, topK, topP });
  const highest = maximum(logits);
  const weight = (logit: number): number => (logit >= cut ? Math.exp((logit - highest) / temperature) : 0);
  let total = 0;
  for (let i = 0; i < logits.length; i++) total += weight(logits[i]!);
  let left = uniform * total;
  let last = 0;
  for (let i = 0; i < logits.length; i++) {
    const own = weight(logits[i]!);
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
  const ascending = logits.slice().sort();
  const first = limited ? ascending.length - topK : 0;
  if (topP >= 1) return ascending[first]!;

  const highest = ascending.at(-1)!;
  const weights = ascending.map((logit) => Math.exp((logit - highest) / temperature));
  let total = 0;
  for (let i = first; i < weights.length; i++) total += weights[i]!;
  let at = weights.length;
  for (let gathered = 0; at > first && gathered < topP * total; ) gathered += weights[--at]!;
  return ascending[at]!;
}

function maximum(values: Float32Array): number {
  let highest = Number.NEGATIVE_INFINITY;
  for (const value of values) if (value > highest) highest = value;
  return highest;
}

/**
 * Published sampling draws among all rows of a transformer's table. A prior that was trained here has rows that no code
 * of a picture is: those that only maps have, and the one that says that nothing is told.
 */
import { must } from '../base/lookup.js';
import { float32, type HostTensors, lastAxis } from '../base/tensor.js';

/** So much less than the least logit of a code that is drawn: e⁻⁵⁰ of its chance. */
const margin = 50;

/** What half precision holds, and how it rounds. */
const largest = 6e4;
const rounding = 2 ** -11;

/**
 * The same weights but for the head's columns of the codes from `from` on, whose logits are one number below all
 * others.
 *
 * What the head reads is γ·n + β with Σ n = 0, as LayerNorm has it, so a column of f/γ has the logit f·c, c = Σ β/γ,
 * whatever was read. Where c is so close to 0 that rounding would show, the columns stay, whose codes training has made
 * rare.
 *
 * @param weights by vqgen's names: `head.weight` [D, K], `norm.gamma` and `norm.beta` [D]
 */
export function neverDrawn(weights: HostTensors, from: number): HostTensors {
  const tensor = (name: string) => must(weights[name], name);
  const head = tensor('head.weight');
  const codes = lastAxis(head);
  if (from >= codes) return weights;
  const [gamma, beta] = [tensor('norm.gamma').data, tensor('norm.beta').data];
  const inverse = Float64Array.from(gamma, (g) => 1 / g);
  const c = inverse.reduce((sum, g, d) => sum + g * beta[d]!, 0);
  const factor = (-2 * (bound(head.data, { codes, from, gamma, beta }) + margin)) / c;
  const fits = inverse.every((g) => Math.abs(g * factor) < largest);
  if (!fits || rounding * Math.sqrt(gamma.length) > Math.abs(c) / 4) return weights;
  const data = Float32Array.from(head.data);
  for (const [d, g] of inverse.entries()) data.fill(factor * g, d * codes + from, (d + 1) * codes);
  return { ...weights, 'head.weight': float32(head.shape, data) };
}

/** How far from 0 a logit of the first codes may be: ‖n‖ is at most √D. */
function bound(
  head: ArrayLike<number>,
  o: { codes: number; from: number; gamma: ArrayLike<number>; beta: ArrayLike<number> },
): number {
  const { codes, from, gamma, beta } = o;
  const width = gamma.length;
  let most = 0;
  for (let code = 0; code < from; code++) {
    let [squares, constant] = [0, 0];
    for (let d = 0; d < width; d++) {
      const weight = head[d * codes + code]!;
      squares += (weight * gamma[d]!) ** 2;
      constant += weight * beta[d]!;
    }
    most = Math.max(most, Math.sqrt(squares * width) + Math.abs(constant));
  }
  return most;
}

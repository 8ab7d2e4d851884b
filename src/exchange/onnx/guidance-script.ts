/** How scripts beside exported ONNX files compute how strongly a class acts. */
import type { Growth } from '../../stage2-transformer/guidance.js';

/** An expression in the languages of the scripts. */
export interface InBoth {
  readonly js: string;
  readonly python: string;
}

/**
 * Guidance (`guidanceAt`).
 *
 * @param done share of the codes or passes that went before, 1 at the last
 */
export function guidance(growth: Growth, scale: number, done: InBoth): InBoth {
  const of = (grown: string) => `1 + (${scale} - 1) * ${grown}`;
  return {
    constant: { js: `${scale}`, python: `${scale}` },
    linear: { js: of(`(${done.js})`), python: of(`(${done.python})`) },
    cosine: {
      js: of(`(1 - Math.cos(Math.PI * (${done.js}))) / 2`),
      python: of(`(1 - np.cos(np.pi * (${done.python}))) / 2`),
    },
  }[growth];
}

/** Of pass `step` of `steps`. */
export const ofPasses: InBoth = {
  js: 'steps > 1 ? (step - 1) / (steps - 1) : 1',
  python: '(step - 1) / (steps - 1) if steps > 1 else 1',
};

/** Of the next of so many codes, `codes` being those before it. */
export function ofCodes(cells: number): InBoth {
  return cells > 1
    ? { js: `codes[0].length / ${cells - 1}`, python: `len(codes) / ${cells - 1}` }
    : { js: '1', python: '1' };
}

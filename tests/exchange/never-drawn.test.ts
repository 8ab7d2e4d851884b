import { float32, type HostTensors } from '../../src/base/tensor.js';
import { neverDrawn } from '../../src/exchange/never-drawn.js';

const [width, codes, from] = [8, 6, 4];
const values = (n: number, of: (i: number) => number) => Float32Array.from({ length: n }, (_, i) => of(i));
const weights = (beta = 0.3): HostTensors => ({
  'head.weight': float32(
    [width, codes],
    values(width * codes, (i) => 2 * Math.sin(3 * i)),
  ),
  'norm.gamma': float32(
    [width],
    values(width, (i) => 1 + 0.4 * Math.sin(i)),
  ),
  'norm.beta': float32(
    [width],
    values(width, (i) => beta * Math.cos(2 * i + 1) + beta),
  ),
});

/** [K] of what a LayerNorm makes of any x. */
function logits(w: HostTensors, x: readonly number[]): number[] {
  const mean = x.reduce((sum, v) => sum + v, 0) / width;
  const deviation = Math.sqrt(x.reduce((sum, v) => sum + (v - mean) ** 2, 0) / width);
  const read = x.map(
    (v, d) => (w['norm.gamma']!.data[d]! * (v - mean)) / deviation + w['norm.beta']!.data[d]!,
  );
  return Array.from({ length: codes }, (_, k) =>
    read.reduce((sum, v, d) => sum + v * w['head.weight']!.data[d * codes + k]!, 0),
  );
}

test('whatever is read, codes that no picture has are far below all others, which stay', () => {
  const [before, after] = [weights(), neverDrawn(weights(), from)];
  for (let i = 0; i < 50; i++) {
    const x = Array.from({ length: width }, (_, d) => 5 * Math.sin(i + i * d));
    x[0]! += 1;
    const [was, is] = [logits(before, x), logits(after, x)];
    expect(is.slice(0, from)).toEqual(was.slice(0, from));
    expect(Math.max(...is.slice(from))).toBeLessThan(Math.min(...is.slice(0, from)) - 50);
  }
});

test('where nothing can be done, or needs to be, the weights stay', () => {
  expect(neverDrawn(weights(0), from)).toEqual(weights(0));
  expect(neverDrawn(weights(), codes)).toEqual(weights());
});

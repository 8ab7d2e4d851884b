import { stream } from '../../src/base/rng.js';
import { choose, chooseByProbability } from '../../src/stage2-transformer/choose.js';

/** Probabilities 0.1, 0.4, 0.2, 0.3, shifted as logits may be. */
const logits = Float32Array.from([0.1, 0.4, 0.2, 0.3], (p) => Math.log(p) + 7);
const off = { temperature: 1, topK: 0, topP: 1 };
const picks = (o: object, uniforms: number[]): number[] =>
  uniforms.map((u) => choose(logits, { ...off, ...o }, u));

test('without limits: the cumulative distribution, codes in their own order', () => {
  expect(picks({}, [0, 0.09, 0.11, 0.49, 0.51, 0.69, 0.71, 0.9999])).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
});

test('top-k: the k likeliest, renormalised', () => {
  // 0.4 and 0.3 are left: 4/7 = 0.5714 of the mass is code 1's.
  expect(picks({ topK: 2 }, [0, 0.57, 0.572, 0.9999])).toEqual([1, 1, 3, 3]);
  expect(picks({ topK: 1 }, [0, 0.5, 0.9999])).toEqual([1, 1, 1]);
  expect(picks({ topK: 4 }, [0, 0.9999])).toEqual([0, 3]);
});

test('top-p: the fewest likely codes that together reach p', () => {
  // 0.4 + 0.3 = 0.7 reaches 0.65 and not 0.75; then 0.2 comes in.
  expect(picks({ topP: 0.65 }, [0, 0.57, 0.572, 0.9999])).toEqual([1, 1, 3, 3]);
  expect(picks({ topP: 0.75 }, [0, 0.44, 0.45, 0.66, 0.67, 0.9999])).toEqual([1, 1, 2, 2, 3, 3]);
  expect(picks({ topP: 0.1 }, [0, 0.9999])).toEqual([1, 1]);
});

test('both: top-p counts among the top k', () => {
  // Among 0.4, 0.3, 0.2 the shares are 0.444, 0.333, 0.222: the first two reach 0.75 where they would not alone.
  expect(picks({ topK: 3, topP: 0.75 }, [0, 0.57, 0.572, 0.9999])).toEqual([1, 1, 3, 3]);
});

test('temperature: p^(1/T), also in what top-p counts', () => {
  // T = 1/2 squares: 1, 16, 4, 9 of 30.
  expect(picks({ temperature: 0.5 }, [0.03, 0.04, 0.56, 0.58, 0.69, 0.71])).toEqual([0, 1, 1, 2, 2, 3]);
  // 16 + 9 = 25 of 30 = 0.833 reaches 0.8, which 0.7 at T = 1 does not.
  expect(picks({ temperature: 0.5, topP: 0.8 }, [0, 0.63, 0.65, 0.9999])).toEqual([1, 1, 3, 3]);
  expect(picks({ temperature: 1e-4 }, [0, 0.5, 0.9999])).toEqual([1, 1, 1]);
});

test('ties stay together', () => {
  const tied = Float32Array.from([1, 0, 1, 1]);
  const drawn = [0, 0.34, 0.67, 0.9999].map((u) => choose(tied, { ...off, topK: 2 }, u));
  expect(drawn).toEqual([0, 2, 3, 3]);
});

test('top-k keeps what sorting keeps, for any k, with ties, from one length of row to the next', () => {
  const rng = stream(2, 'choose');
  for (const codes of [1, 2, 33, 8]) {
    const row = Float32Array.from({ length: codes }, (_, i) => (i % 3 ? rng.normal() : rng.below(4)));
    for (let topK = 1; topK <= codes; topK++) {
      const least = row.slice().sort()[codes - topK]!;
      const kept = [...row.keys()].filter((i) => row[i]! >= least);
      const uniforms = Array.from({ length: 50 * codes }, (_, i) => i / (50 * codes));
      const drawn = new Set(uniforms.map((u) => choose(row, { ...off, topK, temperature: 9 }, u)));
      expect([...drawn].sort((a, b) => a - b)).toEqual(kept);
    }
  }
});

test('frequencies follow the probabilities', () => {
  const rng = stream(1, 'choose');
  const counts = [0, 0, 0, 0];
  for (let i = 0; i < 20_000; i++) counts[choose(logits, off, rng.uniform())]!++;
  for (const [i, p] of [0.1, 0.4, 0.2, 0.3].entries()) expect(counts[i]! / 20_000).toBeCloseTo(p, 1.7);
});

test('from probabilities as from their logarithms, whatever is left out', () => {
  const rng = stream('probabilities');
  for (let round = 0; round < 200; round++) {
    const weights = Float32Array.from({ length: 40 }, () => Math.exp(4 * rng.normal()));
    const total = weights.reduce((a, b) => a + b, 0);
    const probabilities = weights.map((w) => w / total);
    const choice = { topK: [0, 3, 17][round % 3]!, topP: [1, 0.3, 0.92, 0.999][round % 4]! };
    const uniform = rng.uniform();
    const logits = probabilities.map(Math.log);
    expect(chooseByProbability(probabilities, choice, uniform)).toBe(
      choose(logits, { temperature: 1, ...choice }, uniform),
    );
  }
});

test('of equal probabilities none is left out', () => {
  const alike = new Float32Array(8).fill(0.125);
  expect([0, 0.5, 0.99].map((u) => chooseByProbability(alike, { topK: 0, topP: 0.5 }, u))).toEqual([0, 4, 7]);
});

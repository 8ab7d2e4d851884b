import { stream } from '../../../src/base/rng.js';
import type { Canvas } from '../../../src/stage2-transformer/canvas.js';
import { masked, maskedForValidation, type Shown } from '../../../src/stage2-transformer/maskgit/masking.js';

const cells = { vocabulary: new Int32Array(20).fill(50), given: 4 };
const rows = 64;
const rng = stream('codes');
const whole: Canvas = {
  codes: Int32Array.from({ length: rows * 20 }, () => rng.below(50)),
  labels: new Int32Array(rows).fill(-1),
};
const common = { schedule: 'cosine', seed: 1, step: 5 } as const;

/** Cells of a row that are masked, wrong, and right. */
function fates({ canvas }: Shown, row: number) {
  const kinds = { hidden: 0, wrong: 0, right: 0 };
  for (let at = row * 20 + 4; at < (row + 1) * 20; at++) {
    if (canvas.codes[at] === -1) kinds.hidden++;
    else if (canvas.codes[at] === whole.codes[at]) kinds.right++;
    else kinds.wrong++;
  }
  return kinds;
}

const sum = (values: Float32Array): number => values.reduce((a, b) => a + b, 0);

test('masked cells alone count, all of them alike, and as much as all cells would', () => {
  const shown = masked(whole, cells, { ...common, substitute: 0 });
  expect(sum(shown.weights)).toBeCloseTo(rows * 16, 2);
  const counting = new Set<number>();
  let hidden = 0;
  for (const [at, weight] of shown.weights.entries()) {
    const isHidden = shown.canvas.codes[at] === -1;
    if (isHidden) hidden++;
    else expect(shown.canvas.codes[at]).toBe(whole.codes[at]);
    expect(weight > 0).toBe(isHidden);
    if (weight > 0) counting.add(weight);
    if (at % 20 < 4) expect(isHidden).toBe(false);
  }
  expect(counting.size).toBe(1);
  expect(hidden / (rows * 16)).toBeCloseTo(2 / Math.PI, 0); // the mean of cos(πu/2)
  expect(masked(whole, cells, { ...common, substitute: 0 })).toEqual(shown);
  expect(masked(whole, cells, { ...common, step: 6, substitute: 0 }).canvas).not.toEqual(shown.canvas);
});

test('wrong codes among the visible ones count as much as masked cells, right ones a tenth', () => {
  const shown = masked(whole, cells, { ...common, substitute: 0.9 });
  const kinds = { hidden: 0, wrong: 0, right: 0 };
  for (let row = 0; row < rows; row++)
    for (const [kind, n] of Object.entries(fates(shown, row))) kinds[kind as keyof typeof kinds] += n;
  // Of the visible cells a share that is 0.45 in the mean, of which one in fifty is right by chance.
  const share = kinds.wrong / (kinds.wrong + kinds.right);
  expect(share).toBeGreaterThan(0.3);
  expect(share).toBeLessThan(0.6);
  expect(sum(shown.weights)).toBeCloseTo(rows * 16, 2);
  const [most, least] = [Math.max(...shown.weights), Math.min(...shown.weights.filter((w) => w > 0))];
  expect(most / least).toBeCloseTo(10, 4);
  for (const [at, code] of shown.canvas.codes.entries())
    if (code !== -1 && code !== whole.codes[at]) expect(shown.weights[at]).toBe(most);
});

test('half of the wrong codes are what another canvas has at the same cell', () => {
  const own = { codes: Int32Array.from({ length: rows * 20 }, (_, i) => i % 20), labels: whole.labels };
  const shown = masked(own, cells, { ...common, substitute: 0.9 });
  const replaced = shown.weights.filter((w, at) => w > 0 && shown.canvas.codes[at] !== -1);
  const most = Math.max(...shown.weights);
  const [same, any] = [0, 1].map(
    (kind) =>
      Array.from(shown.canvas.codes).filter(
        (code, at) => code !== -1 && shown.weights[at] === most && Number(code !== at % 20) === kind,
      ).length,
  );
  expect(replaced.length).toBeGreaterThan(0);
  expect(same! / (same! + any!)).toBeGreaterThan(0.35);
  expect(same! / (same! + any!)).toBeLessThan(0.65);
});

test('validation: 1 to all cells masked, evenly often, each canvas counting the same; at a rate that share', () => {
  const shown = maskedForValidation(whole, cells, 0);
  const counts = Array.from({ length: rows }, (_, row) => fates(shown, row).hidden);
  const often = new Map<number, number>();
  for (const n of counts) often.set(n, (often.get(n) ?? 0) + 1);
  expect([...often.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, i) => i + 1));
  expect(new Set(often.values())).toEqual(new Set([4]));
  for (let row = 0; row < rows; row++)
    expect(sum(shown.weights.subarray(row * 20, (row + 1) * 20))).toBeCloseTo(16, 4);

  const quarter = maskedForValidation(whole, cells, 0, 0.25);
  for (let row = 0; row < rows; row++)
    expect(fates(quarter, row)).toEqual({ hidden: 4, wrong: 0, right: 12 });
  // What canvas 40 is shown does not depend on where a batch begins.
  const later = maskedForValidation(
    { codes: whole.codes.subarray(40 * 20), labels: whole.labels.subarray(40) },
    cells,
    40,
  );
  expect(later.canvas.codes).toEqual(shown.canvas.codes.subarray(40 * 20));
});

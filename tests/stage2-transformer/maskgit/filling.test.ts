/** Filling canvases with networks whose answers are known. */
import { stream } from '../../../src/base/rng.js';
import type { Canvas } from '../../../src/stage2-transformer/canvas.js';
import { type Ask, type FillOptions, fill } from '../../../src/stage2-transformer/maskgit/filling.js';
import { haltonOrder } from '../../../src/stage2-transformer/maskgit/halton.js';

const cells = 16;
const codes = 10;
const blank = (rows: number): Canvas => ({
  codes: new Int32Array(rows * cells).fill(-1),
  labels: new Int32Array(rows).fill(-1),
});
const options = (rows: number, o: Partial<FillOptions['passes']> = {}, first = 0): FillOptions => ({
  choice: { temperature: 1, topK: 0, topP: 1 },
  random: Array.from({ length: rows }, (_, row) => stream('fill', first + row)),
  passes: { steps: 5, order: 'confidence', choiceTemperature: 0, revise: 0, ...o },
  schedule: 'cosine',
  vocabulary: new Int32Array(cells).fill(codes),
  far: haltonOrder(4, 4),
  scale: 1,
});

/** Cell t is code t mod 10 for sure, whatever it is shown; what it is shown is kept. */
function knowing(): { ask: Ask; seen: Int32Array[] } {
  const seen: Int32Array[] = [];
  const ask: Ask = (canvas) => {
    seen.push(Int32Array.from(canvas.codes));
    const shares = new Float32Array(canvas.codes.length * codes);
    for (let at = 0; at < canvas.codes.length; at++) shares[at * codes + ((at % cells) % codes)] = 1;
    return Promise.resolve(shares);
  };
  return { ask, seen };
}

/** Every code as likely, but for cell t by so much less sure as t is large. */
const doubtful: Ask = (canvas) => {
  const shares = new Float32Array(canvas.codes.length * codes);
  for (let at = 0; at < canvas.codes.length; at++) {
    const sure = 0.9 - 0.05 * (at % cells);
    shares.fill((1 - sure) / (codes - 1), at * codes, (at + 1) * codes);
    shares[at * codes] = sure;
  }
  return Promise.resolve(shares);
};

const hidden = (row: Int32Array): number[] =>
  [...row.entries()].flatMap(([cell, code]) => (code < 0 ? [cell] : []));

test.each(['confidence', 'halton'] as const)(
  '%s: what the network knows is drawn, in exactly so many passes',
  async (order) => {
    const { ask, seen } = knowing();
    const drawn = await fill(blank(2), ask, options(2, { order, choiceTemperature: 4.5 }));
    expect([...drawn.subarray(0, cells)]).toEqual(Array.from({ length: cells }, (_, t) => t % codes));
    expect(drawn.subarray(cells)).toEqual(drawn.subarray(0, cells));
    // floor(16·cos(πr/2)) at r = 1/5 … 4/5: 15 12 9 4.
    expect(seen.map((all) => hidden(all.subarray(0, cells)).length)).toEqual([16, 15, 12, 9, 4]);
  },
);

test.each(['confidence', 'halton'] as const)(
  '%s: known cells never change, none is left unknown, also with revision',
  async (order) => {
    const known = blank(1);
    for (const [cell, code] of [3, 9, 9, 1].entries()) known.codes[cell * 3] = code;
    const seen: Int32Array[] = [];
    const ask: Ask = (canvas, o) => {
      seen.push(Int32Array.from(canvas.codes));
      return doubtful(canvas, o);
    };
    const drawn = await fill(known, ask, options(1, { order, revise: 0.5, choiceTemperature: 1 }));
    for (const shown of [...seen, drawn])
      for (const [cell, code] of known.codes.entries()) if (code >= 0) expect(shown[cell]).toBe(code);
    expect(hidden(drawn)).toEqual([]);
    expect(drawn.every((code) => code < codes)).toBe(true);
  },
);

test('confidence: without noise the surest are kept first', async () => {
  const seen: Int32Array[] = [];
  const ask: Ask = (canvas) => {
    seen.push(Int32Array.from(canvas.codes));
    const shares = new Float32Array(cells * codes);
    for (let cell = 0; cell < cells; cell++) {
      const sure = 0.99 - 0.001 * cell;
      shares[cell * codes] = sure;
      shares[cell * codes + 1] = 1 - sure;
    }
    return Promise.resolve(shares);
  };
  const middle = { uniform: () => 0.5 };
  await fill(blank(1), ask, { ...options(1), random: [middle] });
  expect(seen.map(hidden).map((list) => list[0])).toEqual([0, 1, 4, 7, 12]);
});

test('halton: its order, begun anywhere', async () => {
  const seen: Int32Array[] = [];
  const ask: Ask = (canvas, o) => {
    seen.push(Int32Array.from(canvas.codes));
    return doubtful(canvas, o);
  };
  const o = options(1, { order: 'halton', steps: 16 });
  await fill(blank(1), ask, { ...o, schedule: 'linear', random: [{ uniform: () => 0.25 }] });
  const order = seen.slice(1).map((shown, i) => hidden(seen[i]!).find((cell) => shown[cell]! >= 0));
  const far = [...haltonOrder(4, 4)];
  expect(order).toEqual([...far.slice(4), ...far.slice(0, 3)]);
});

test('revision masks again what the network believes least, as many as it says, and draws it anew', async () => {
  // Whatever is drawn at cells 0 to 3 is found impossible afterwards.
  const seen: Int32Array[] = [];
  const ask: Ask = (canvas) => {
    seen.push(Int32Array.from(canvas.codes));
    const shares = new Float32Array(cells * codes).fill(1 / codes);
    for (let cell = 0; cell < 4; cell++) {
      const code = canvas.codes[cell]!;
      if (code >= 0) shares[cell * codes + code] = 0;
    }
    return Promise.resolve(shares);
  };
  const o = options(1, { order: 'halton', revise: 0.9, steps: 8 });
  await fill(blank(1), ask, { ...o, schedule: 'linear' });
  let revised = 0;
  for (const [i, shown] of seen.slice(1).entries()) {
    const drawnBefore = [...seen[i]!.entries()].flatMap(([cell, code]) => (code >= 0 ? [cell] : []));
    const again = hidden(shown).filter((cell) => drawnBefore.includes(cell));
    expect(again).toHaveLength(Math.round(0.9 * (1 - (i + 1) / 8) * drawnBefore.length));
    const impossible = drawnBefore.filter((cell) => cell < 4);
    expect(again.filter((cell) => cell < 4)).toHaveLength(Math.min(again.length, impossible.length));
    revised += again.length;
  }
  expect(revised).toBeGreaterThan(5);
});

test('a canvas is filled the same whatever is beside it, and another one otherwise', async () => {
  const three = await fill(blank(3), doubtful, options(3, { choiceTemperature: 2 }));
  const last = await fill(blank(1), doubtful, options(1, { choiceTemperature: 2 }, 2));
  expect(three.subarray(2 * cells)).toEqual(last);
  expect(three.subarray(0, cells)).not.toEqual(last);
});

test('cells behind greedyFrom stay masked until all others are drawn, then have the likeliest code', async () => {
  const { ask, seen } = knowing();
  const drawn = await fill(blank(1), ask, { ...options(1), greedyFrom: 12 });
  expect(seen).toHaveLength(6);
  expect(hidden(seen[5]!)).toEqual([12, 13, 14, 15]);
  expect([...drawn.subarray(12)]).toEqual([2, 3, 4, 5]);
});

test('guidance grows from pass to pass, or does not', async () => {
  const asked = async (growth?: 'linear'): Promise<number[]> => {
    const scales: number[] = [];
    const ask: Ask = (canvas, { scale }) => {
      scales.push(scale);
      return knowing().ask(canvas, { temperature: 1, scale });
    };
    await fill(blank(1), ask, { ...options(1), scale: 3, growth });
    return scales;
  };
  expect(await asked('linear')).toEqual([1, 1.5, 2, 2.5, 3]);
  expect(await asked()).toEqual([3, 3, 3, 3, 3]);
});

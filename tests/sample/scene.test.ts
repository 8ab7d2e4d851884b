import { codesIn } from '../../src/sample/code-sheet.js';
import { copyOf, extentOf, lay, type Plan, sceneOf } from '../../src/sample/scene.js';

const grids = [
  { name: 'top', height: 2, width: 2, vocab: 50 },
  { name: 'bottom', height: 4, width: 4, vocab: 50 },
];
const codes = Int32Array.from({ length: 20 }, (_, i) => i);
const flat = (value: number) => new Float32Array(16 * 16 * 3).fill(value);

/** 16 pixels, of which nothing is redrawn and something is added. */
const plan = (added: Partial<Plan['added']>): Plan => ({
  ...{ image: flat(0.25), size: 16, pixels: new Uint8Array(256) },
  redrawn: [new Uint8Array(4), new Uint8Array(16)],
  added: { top: 0, left: 0, right: 0, bottom: 0, ...added },
});

test('a window sees the codes of its place on every grid', () => {
  const scene = sceneOf(plan({ right: 1, top: 1 }), codes, grids);
  expect(extentOf(scene)).toEqual({ width: 24, height: 24 });
  expect(codesIn(scene, { left: 0, top: 1 })).toEqual(codes);
  const right = codesIn(scene, { left: 1, top: 1 });
  expect([...right.subarray(0, 4)]).toEqual([1, -1, 3, -1]);
  expect([...right.subarray(4, 12)]).toEqual([6, 7, -1, -1, 10, 11, -1, -1]);
  const above = codesIn(scene, { left: 0, top: 0 });
  expect([...above.subarray(0, 4)]).toEqual([-1, -1, 0, 1]);
  expect([...above.subarray(4)].slice(6, 14)).toEqual([-1, -1, 4, 5, 6, 7, 8, 9]);
});

test('what is drawn is laid beside what is kept: to the bit outside of a rim of one cell, and known from then on', () => {
  const scene = sceneOf(plan({ right: 1 }), codes, grids);
  const other = copyOf(scene);
  const window = { left: 1, top: 0 };
  const drawn = codesIn(scene, window).map((code) => (code < 0 ? 40 : code));
  lay(scene, window, drawn, flat(-0.5));
  expect(codesIn(scene, window)).toEqual(drawn);
  expect([...codesIn(scene, { left: 0, top: 0 })]).toEqual([...codes]);
  const reds = Array.from({ length: 24 }, (_, x) => scene.picture[3 * (24 * 5 + x)]!);
  // Cells of the finest grid have 4 pixels: the picture's last 4 mix.
  expect(reds.slice(0, 12)).toEqual(new Array(12).fill(0.25));
  expect(reds.slice(16)).toEqual(new Array(8).fill(-0.5));
  for (const [x, share] of [0.0545, 0.2987, 0.7013, 0.9455].entries())
    expect(reds[12 + x]).toBeCloseTo(0.25 - 0.75 * share, 3);

  expect(codesIn(other, window).includes(-1)).toBe(true);
  expect(other.picture[3 * 20]).toBe(1);
  lay(scene, window, drawn, flat(0.9)); // Nothing is missing any more.
  expect(scene.picture[3 * 20]).toBe(-0.5);
});

test('cells that are redrawn are unknown, each on its grid', () => {
  const redrawn = [
    Uint8Array.of(0, 1, 0, 0),
    Uint8Array.from(codes.subarray(4), (code) => (code > 17 ? 1 : 0)),
  ];
  const scene = sceneOf({ ...plan({}), redrawn }, codes, grids);
  expect([...codesIn(scene, { left: 0, top: 0 })]).toEqual(
    [...codes].map((c) => ([1, 18, 19].includes(c) ? -1 : c)),
  );
});

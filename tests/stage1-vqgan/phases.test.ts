import { float32 } from '../../src/base/tensor.js';
import type { Stage1Config } from '../../src/config/schema.js';
import { phasesOf } from '../../src/stage1-vqgan/phases.js';
import { eager } from '../support/parity.js';

const size = 16;
const perceptual = { kind: 'vqgen', weight: 1, weights: null } satisfies Stage1Config['perceptual'];
const phases = phasesOf({ perceptual }, size);

/** Red is the row's number, green the column's, blue 1. */
const places = float32(
  [1, size, size, 3],
  Float32Array.from(
    Array.from({ length: size * size }, (_, i) => [Math.floor(i / size), i % size, 1]).flat(),
  ),
);

const shown = async (fed: ReturnType<typeof phases.feed>) =>
  (await eager({ places, ...fed }, ({ places, ...fed }) => ({ y: phases.apply(places!, fed) }))).y!.data;

test('moved by whole pixels, every phase of a cell of 8 by 8 comes up, and borders are mirrored', async () => {
  const seen = new Set<string>();
  const mirrored = (at: number) => (at < 0 ? -at - 1 : at > 15 ? 31 - at : at);
  for (let step = 1; step <= 400; step++) {
    const fed = phases.feed({ seed: 1, step, batch: 1 });
    const [down, across] = [fed['phase.rows']!.data[8]! - 8, fed['phase.columns']!.data[8]! - 8];
    seen.add(`${down} ${across}`);
    if (step > 20) continue;
    const y = await shown(fed);
    for (let i = 0; i < size * size; i++) {
      const from = [mirrored(Math.floor(i / size) + down), mirrored((i % size) + across), 1];
      expect(Array.from(y.subarray(3 * i, 3 * i + 3))).toEqual(from);
    }
  }
  expect(seen.size).toBe(64);
  expect([...seen].sort()[0]).toBe('-1 -1');
});

test('each image its own way, the same again for the same seed and step', () => {
  const of = (seed: number, step: number) => phases.feed({ seed, step, batch: 4 })['phase.rows']!.data;
  expect(of(1, 7)).toEqual(of(1, 7));
  expect(of(1, 7)).not.toEqual(of(2, 7));
  expect(of(1, 7)).not.toEqual(of(1, 8));
  const rows = of(1, 7);
  expect(new Set([0, 1, 2, 3].map((i) => rows[16 * i + 8])).size).toBeGreaterThan(1);
});

test('pictures are shown as they are where nothing is fed, and to published networks', async () => {
  expect(await shown({})).toEqual(places.data);
  const published = phasesOf({ perceptual: { ...perceptual, kind: 'lpips-vgg16' } }, size);
  expect(published.inputs(2)).toEqual({});
  expect(published.feed({ seed: 1, step: 1, batch: 2 })).toEqual({});
});

import { float32, type HostTensors } from '../../src/base/tensor.js';
import { type Checkpoint, saveCheckpoint, saveWeights } from '../../src/checkpoint/store.js';
import { beginning, placeAt } from '../../src/train/place.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { startOf } from '../support/networks.js';
import { tinyConfig } from '../support/run.js';

afterAll(removeFolders);

const config = tinyConfig();
const bottleneck = { ...config.stage1.bottleneck, kind: 'ema' as const };
const disc = { ...config.stage1.disc, weight: 1, norm: 'spectral' as const };
const initial = startOf({ ...config, stage1: { ...config.stage1, bottleneck, disc } });
const stage = { folder: '', books: [], lr: 1, initialState: () => initial };

/** All that is trained is 3. */
const trained: HostTensors = Object.fromEntries(
  Object.entries(initial).map(([name, { shape, data }]) => {
    const values = new Float32Array(data.length).fill(3);
    return [name, float32(shape, values)];
  }),
);
const weights = Object.fromEntries(
  Object.entries(trained).filter(([name]) => /^(model|ema|disc)\./.test(name)),
);
const saved = { step: 7, seconds: 0, validated: 7, best: null, metrics: null };
const since = async (checkpoint?: Checkpoint) => (await placeAt(stage, checkpoint)).since;

test('what serves the optimiser begins as in a new run where a checkpoint has weights alone', async () => {
  const alone = await saveWeights(await freshFolder(), weights, { step: 7 });
  const begun = await beginning(stage, alone);
  expect(begun).toEqual({ ...initial, ...weights });
  // At counts of 0 codes would become means of the first batch, and from directions of 0 filters would not be finite.
  expect([...begun.codebook_counts!.data]).toEqual(new Array(16).fill(1));
  expect(Math.hypot(...begun['disc_u.conv_in.weight']!.data)).toBeGreaterThan(0);
  expect(await beginning(stage, await saveCheckpoint(await freshFolder(), trained, saved, 1))).toEqual(
    trained,
  );
});

test('moments begin with the run, as its state notes, or after a checkpoint with weights alone', async () => {
  const at = async (o: object) =>
    since(await saveCheckpoint(await freshFolder(), trained, { ...saved, ...o }, 1));
  expect(await since()).toBe(0);
  expect(await at({})).toBe(0);
  expect(await at({ moments_since: 5 })).toBe(5);
  expect(await since(await saveWeights(await freshFolder(), weights, { step: 7 }))).toBe(7);
});

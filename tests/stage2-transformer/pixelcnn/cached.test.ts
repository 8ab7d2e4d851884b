import '../../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { silent } from '../../../src/base/progress.js';
import { stream } from '../../../src/base/rng.js';
import { openDevice } from '../../../src/engine/index.js';
import { specsOf, treeOf, under } from '../../../src/nn/params.js';
import { cellsIn } from '../../../src/stage1-vqgan/grids.js';
import type { Grid } from '../../../src/stage1-vqgan/latent.js';
import { openCachedNetworks } from '../../../src/stage2-transformer/pixelcnn/cached.js';
import {
  type NetworkSizes,
  networkLogits,
  networkSpecs,
} from '../../../src/stage2-transformer/pixelcnn/network.js';
import type { Drawer } from '../../../src/stage2-transformer/prior.js';
import { expectClose } from '../../support/close.js';
import { ids } from '../../support/parity.js';
import { bottom, livelyWeights, pixelcnnOf, sizesOf, tensorsOf, top } from '../../support/pixelcnn.js';

const given: Grid = { name: 'given', height: 3, width: 2, vocab: 4 };

/** Of three grids, of which the first is given, logits [B, K] of each cell of the others as a full pass has them. */
function full(
  networks: readonly NetworkSizes[],
  weights: ReturnType<typeof livelyWeights>,
  o: { codes: Int32Array; labels: Int32Array },
) {
  const grids = [given, ...networks.map(({ grid }) => grid)];
  const batch = o.labels.length;
  const all = tf.tensor2d(o.codes, [batch, cellsIn(grids)], 'int32');
  const parts = tf
    .split(
      all,
      grids.map((grid) => cellsIn([grid])),
      1,
    )
    .map((part, i) => tf.reshape(part, [batch, grids[i]!.height, grids[i]!.width]));
  return networks.flatMap((network, i) => {
    const specs = networkSpecs(network);
    const params = treeOf(specs, under(network.grid.name, tensorsOf(weights)));
    const known = { labels: tf.tensor1d(o.labels, 'int32'), earlier: parts.slice(0, i + 1) };
    const logits = networkLogits(network, params, parts[i + 1]!, known);
    return tf.unstack(tf.reshape(logits, [batch, -1, network.grid.vocab]), 1);
  });
}

test.each([
  ['tfjs', 0],
  ['cpu', 0],
  ['tfjs', 1],
  ['cpu', 2],
] as const)(
  '%s, attention after every %d layers: logits of every place as of a full pass, for one batch after another',
  async (name, attentionEvery) => {
    const o = { classes: 2, attentionEvery };
    const networks = [
      sizesOf(top, { ...o, earlier: [given] }),
      sizesOf(bottom, { ...o, earlier: [given, top] }),
    ];
    const specs = Object.fromEntries(
      networks.flatMap((network) =>
        Object.entries(specsOf(networkSpecs(network))).map(([key, spec]) => [
          `${network.grid.name}.${key}`,
          spec,
        ]),
      ),
    );
    const weights = livelyWeights(specs);
    const device = await openDevice({ device: name, threads: 1, reporter: silent });
    const grids = [given, top, bottom];
    const model = await openCachedNetworks({ device, weights, batch: 3, grids, networks });
    const cells = cellsIn(grids);
    const labels = Int32Array.of(1, -1, 0);
    for (const round of [0, 1]) {
      const codes = ids([3, cells], 4, round).data as Int32Array;
      const wanted = full(networks, weights, { codes, labels });
      for (let place = 0; place < cells; place++) {
        const before = labels.map((label, row) => (place === 0 ? label : codes[row * cells + place - 1]!));
        const logits = await model.nextLogits(before, place);
        const network = wanted[place - cellsIn([given])];
        if (network) expectClose({ shape: network.shape, data: logits }, network, { atol: 1e-4, rtol: 1e-4 });
        else expect(logits).toHaveLength(0);
      }
    }
    await model.dispose();
  },
);

describe('drawing', () => {
  const choice = { temperature: 1, topK: 0, topP: 1 };
  const prior = pixelcnnOf([top, bottom], { layers: 2, given: [given], classes: ['a', 'b'] });
  const weights = livelyWeights(prior.learned);
  const cells = cellsIn(prior.grids);
  const drawers = new Map<number, Promise<Drawer>>();
  const opened = async (cfgScale: number): Promise<Drawer> => {
    const device = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
    return prior.open(device, weights, { batch: 2, cfgScale });
  };
  afterAll(async () => {
    for (const drawer of drawers.values()) await (await drawer).dispose();
  });
  const draw = async (o: { codes: Int32Array; labels: Int32Array; keys: number[]; cfgScale?: number }) => {
    const { labels, cfgScale = 1 } = o;
    if (!drawers.has(cfgScale)) drawers.set(cfgScale, opened(cfgScale));
    const drawer = await drawers.get(cfgScale)!;
    const random = o.keys.map((key) => stream('draw', key));
    const drawn = await drawer.draw(o, { choice, random });
    return Array.from(labels, (_, row) => [...drawn.subarray(row * cells, (row + 1) * cells)]);
  };
  /** The given grid is known, and every fifth cell of the others. */
  const canvas = (key: number) =>
    ids([cells], 4, key).data.map((code, i) => (i < 6 || i % 5 === 0 ? code : -1)) as Int32Array;
  const both = (a: number, b: number) => Int32Array.from([...canvas(a), ...canvas(b)]);

  test('known cells stay, others are codes of their grids, and no canvas acts on those beside it', async () => {
    const first = await draw({ codes: both(1, 2), labels: Int32Array.of(0, -1), keys: [7, 8] });
    for (const [i, code] of first[0]!.entries()) {
      if (canvas(1)[i]! >= 0) expect(code).toBe(canvas(1)[i]);
      expect(code).toBeLessThan(i < 12 ? 5 : 7);
    }
    expect(first[0]!.some((code) => code > 4)).toBe(true);
    const other = await draw({ codes: both(1, 3), labels: Int32Array.of(0, 1), keys: [7, 9] });
    expect(other[0]).toEqual(first[0]);
    const swapped = await draw({ codes: both(2, 1), labels: Int32Array.of(-1, 0), keys: [8, 7] });
    expect(swapped).toEqual(first.toReversed());
  });

  test('guidance: from what it draws without a class to what it draws with one', async () => {
    const o = { codes: both(1, 2), keys: [7, 8] };
    const without = await draw({ ...o, labels: Int32Array.of(-1, -1) });
    expect(await draw({ ...o, labels: Int32Array.of(0, 1), cfgScale: 0 })).toEqual(without);
    const plain = await draw({ ...o, labels: Int32Array.of(0, 1) });
    expect(plain).not.toEqual(without);
    expect(await draw({ ...o, labels: Int32Array.of(0, 1), cfgScale: 3 })).not.toEqual(plain);
  });
});

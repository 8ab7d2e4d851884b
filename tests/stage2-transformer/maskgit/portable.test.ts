/**
 * MaskGIT as an exported file: a pass of it is a pass of the network, and what it draws is what the prior itself does.
 */
import fs from 'node:fs/promises';
import path from 'node:path';
import { stream } from '../../../src/base/rng.js';
import { int32 } from '../../../src/base/tensor.js';
import { configSchema } from '../../../src/config/schema.js';
import { onnxDevice } from '../../../src/engine/onnx-device.js';
import { openOnnxModel } from '../../../src/engine/onnx-file.js';
import { portableModel } from '../../../src/engine/portable.js';
import { treeOf } from '../../../src/nn/params.js';
import { fileDrawer } from '../../../src/stage2-transformer/file-drawer.js';
import type { Growth } from '../../../src/stage2-transformer/guidance.js';
import { maskgitPrior, sizesOf } from '../../../src/stage2-transformer/maskgit/index.js';
import { maskgitLogits, maskgitSpecs } from '../../../src/stage2-transformer/maskgit/network.js';
import type { Passes } from '../../../src/stage2-transformer/passes.js';
import { expectClose } from '../../support/close.js';
import { eager, ids } from '../../support/parity.js';
import { livelyWeights } from '../../support/pixelcnn.js';
import { temporaryFolder } from '../../support/run.js';

const grids = [
  { name: 'top', height: 1, width: 2, vocab: 5 },
  { name: 'bottom', height: 3, width: 4, vocab: 9 },
];
const [cells, codes] = [14, 9];
const settings = {
  ...configSchema.parse({}).prior,
  ...{ layers: 2, heads: 2, width: 8, seed: 0, mask_schedule: 'linear' as const },
};
const device = onnxDevice({ threads: 1 });

let root: string;
beforeAll(async () => {
  root = await temporaryFolder();
});
afterAll(() => fs.rm(root, { recursive: true }));

/** A prior with weights, and its file. */
async function exported(classes: readonly string[], more: object = {}) {
  const prior = maskgitPrior({ ...settings, ...more }, grids, { classes, grids: [] });
  const weights = livelyWeights(prior.learned);
  for (const [name, { data }] of Object.entries(weights)) {
    const factor = name === 'tokens.weight' ? 50 : /^blocks.*weight$/.test(name) ? 10 : 1; // so small they begin
    for (const [i, x] of data.entries()) data[i] = factor * x;
  }
  const file = path.join(root, `${classes.length}.onnx`);
  const bytes = await portableModel(prior.portable!.program(weights), { metadata: {}, halves: false });
  await fs.writeFile(file, bytes);
  return { prior, weights, graph: await openOnnxModel(file, '--model', 1) };
}

/** [B, T], about half of them unknown, each grid's among its own. */
function someKnown(batch: number, key: string): Int32Array {
  const any = ids([batch, cells], codes, key).data;
  const shown = ids([batch, cells], 2, `${key} shown`).data;
  return Int32Array.from(any, (code, i) => (shown[i] ? code % (i % cells < 2 ? 5 : 9) : -1));
}

test.each<[string[], number, object]>([
  [[], 1, {}],
  [['cat', 'dog'], 3, {}],
  [['cat', 'dog'], 3, { norm: 'rms', mlp: 'swiglu', qk_norm: true, positions: 'rope' }],
])(
  'of classes %j, in a batch of %i, %j: the logits that the network has on TF.js',
  async (classes, batch, more) => {
    const { prior, weights, graph } = await exported(classes, more);
    const canvas = { codes: someKnown(batch, 'pass'), labels: Int32Array.from([1, -1, 0].slice(0, batch)) };
    const found = await graph.run({
      codes: int32([batch, cells], canvas.codes),
      ...(classes.length > 0 && { labels: int32([batch], canvas.labels) }),
    });
    await graph.dispose();
    // By hand: the mask is K, no class K + 1, the classes those after it, before the codes.
    const rows = Array.from(canvas.labels, (label, row) => [
      ...(classes.length > 0 ? [codes + 2 + label] : []),
      ...Array.from(canvas.codes.subarray(row * cells, (row + 1) * cells), (code) =>
        code < 0 ? codes : code,
      ),
    ]);
    const sizes = sizesOf({ ...settings, ...more }, grids, { classes });
    const specs = maskgitSpecs(sizes);
    const { wanted } = await eager(
      { ...weights, rows: int32([batch, rows[0]!.length], rows.flat()) },
      (all) => ({
        wanted: maskgitLogits(sizes, treeOf(specs, all), all.rows!),
      }),
    );
    expect(found.logits!.shape).toEqual([batch, cells, codes]);
    const tolerance = { atol: 1e-5, rtol: 1e-5 };
    expectClose({ ...found.logits!, shape: wanted!.shape }, wanted!, tolerance);
    expect(Object.keys(prior.portable!.metadata)).toEqual(
      ['tokens', 'codes', 'labels', 'logits'].filter((name) => classes.length > 0 || name !== 'labels'),
    );
    expect(prior.portable!.metadata.codes).toBe(
      'int64 [batch, 14], 0 to 8, all grids end to end, row by row; -1 where unknown',
    );
  },
);

const passes: Passes = { steps: 5, order: 'confidence', choiceTemperature: 2, revise: 0 };
const choice = { temperature: 1, topK: 0, topP: 0.9 };

test.each<
  [
    string,
    string[],
    { passes?: object; choice?: object; greedyFrom?: number; scale?: number; growth?: Growth },
  ]
>([
  ['by confidence', [], {}],
  ['in Halton’s order, warmer', [], { passes: { order: 'halton', steps: 4 }, choice: { temperature: 1.5 } }],
  ['revised, top-k', [], { passes: { revise: 0.5 }, choice: { topK: 3 } }],
  ['from a place on the likeliest', [], { greedyFrom: 8 }],
  ['guided', ['cat', 'dog'], { scale: 4, growth: 'linear' }],
  ['guided from the first pass on', ['cat', 'dog'], { scale: 3, growth: 'constant' }],
])('%s: the file draws the codes of the prior, seed by seed', async (_, classes, o) => {
  const { prior, weights, graph } = await exported(classes);
  const opening = { batch: 3, cfgScale: o.scale ?? 1 };
  const known = someKnown(3, 'known');
  known.fill(-1, 0, cells);
  const canvas = {
    codes: known,
    labels: classes.length > 0 ? Int32Array.of(1, 0, -1) : new Int32Array(3).fill(-1),
  };
  const drawing = (seed: string) => ({
    ...{ choice: { ...choice, ...o.choice }, passes: { ...passes, ...o.passes }, greedyFrom: o.greedyFrom },
    growth: o.growth,
    random: [0, 1, 2].map((row) => stream(seed, row)),
  });
  const ofFile = (cfgScale: number) =>
    fileDrawer(graph, prior.portable!.asked, {
      ...opening,
      cfgScale,
      grids: prior.grids,
      classes: classes.length,
    });
  const drawers = [await prior.open(device, weights, opening), ofFile(opening.cfgScale), ofFile(1)] as const;
  const [own, file, unguided] = drawers;
  const [drawn, without]: [string[], string[]] = [[], []];
  for (const seed of ['a', 'b', 'c']) {
    const wanted = await own.draw(canvas, drawing(seed));
    expect(await file.draw(canvas, drawing(seed))).toEqual(wanted);
    expect([...wanted].every((code, i) => code >= 0 && code < (i % cells < 2 ? 5 : 9))).toBe(true);
    expect([...wanted].every((code, i) => known[i]! < 0 || code === known[i])).toBe(true);
    if (o.scale) without.push((await unguided.draw(canvas, drawing(seed))).join());
    drawn.push(wanted.join());
  }
  expect(new Set(drawn).size).toBe(3);
  expect(drawn).not.toEqual(without);
  await own.dispose();
  await graph.dispose();
});

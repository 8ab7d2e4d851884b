/** A prior that is computed whole, as a file: asked place by place, it draws what its formula says. */
import fs from 'node:fs/promises';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { stream } from '../../src/base/rng.js';
import { openOnnxModel } from '../../src/engine/onnx-file.js';
import { portableModel } from '../../src/engine/portable.js';
import { lookup } from '../../src/nn/lookup.js';
import { choose } from '../../src/stage2-transformer/choose.js';
import { fileDrawer } from '../../src/stage2-transformer/file-drawer.js';
import { wholePortable } from '../../src/stage2-transformer/whole.js';
import { noise } from '../support/parity.js';
import { temporaryFolder } from '../support/run.js';

const grids = [
  { name: 'first', height: 1, width: 2, vocab: 3 },
  { name: 'second', height: 2, width: 1, vocab: 5 },
];
const [cells, codes] = [4, 5];
const weights = { code: noise([5, 5], 'code', 3), label: noise([3, 5], 'label', 3) };

/** Logits: those of the label, and the place + 1 times those of every code before. */
function logits(p: Record<string, tf.Tensor>, ids: tf.Tensor, labels?: tf.Tensor): tf.Tensor {
  const before = Float32Array.from({ length: cells * cells }, (_, i) =>
    i % cells < Math.floor(i / cells) ? Math.floor(i / cells) + 1 : 0,
  );
  const all = tf.matMul(
    tf.tensor2d(before, [cells, cells]),
    lookup(p.code as tf.Tensor2D, ids) as tf.Tensor3D,
  );
  return labels
    ? tf.add(all, tf.expandDims(lookup(p.label as tf.Tensor2D, tf.add(labels, tf.scalar(1, 'int32'))), 1))
    : all;
}

let root: string;
beforeAll(async () => {
  root = await temporaryFolder();
});
afterAll(() => fs.rm(root, { recursive: true }));

const choice = { temperature: 1, topK: 0, topP: 0.9 };
const random = () => [stream('a'), stream('b')];

/** By hand: codes of a picture. */
function drawn(label: number, scale: number, known: number[], rng: { uniform(): number }): number[] {
  const row = (name: 'code' | 'label', i: number) => weights[name].data.subarray(5 * i, 5 * i + 5);
  const found: number[] = [];
  for (const [place, code] of known.entries()) {
    const of = (label: number) =>
      Array.from({ length: 5 }, (_, k) =>
        found.reduce((sum, code) => sum + (place + 1) * row('code', code)[k]!, row('label', label + 1)[k]!),
      );
    const [asked, free] = [of(label), of(-1)];
    const guided = asked.map((x, k) => free[k]! + scale * (x - free[k]!));
    const vocab = place < 2 ? 3 : 5;
    found.push(code < 0 ? choose(Float32Array.from(guided.slice(0, vocab)), choice, rng.uniform()) : code);
  }
  return found;
}

test('with classes: each grid among its own codes, known codes as they are, with guidance', async () => {
  const portable = wholePortable({ grids, classes: 2 }, logits);
  const file = path.join(root, 'classes.onnx');
  await fs.writeFile(file, await portableModel(portable.program(weights), { metadata: {}, halves: false }));
  const known = [
    [-1, -1, -1, -1],
    [-1, 1, 4, -1],
  ];
  const canvas = { codes: Int32Array.from(known.flat()), labels: Int32Array.of(1, -1) };
  const graph = await openOnnxModel(file, '--model', 1);
  for (const cfgScale of [1, 2.5]) {
    const drawer = fileDrawer(graph, portable.asked, { batch: 2, cfgScale, grids, classes: 2 });
    const [a, b] = random();
    const wanted = [...drawn(1, cfgScale, known[0]!, a!), ...drawn(-1, cfgScale, known[1]!, b!)];
    expect([...(await drawer.draw(canvas, { choice, random: random() }))]).toEqual(wanted);
  }
  await graph.dispose();
});

test('without classes it takes no labels', async () => {
  const portable = wholePortable({ grids, classes: 0 }, logits);
  const program = portable.program({ code: weights.code });
  expect(Object.keys(program.inputs)).toEqual(['codes']);
  expect(Object.keys(portable.metadata)).toEqual(['tokens', 'codes', 'logits']);
  const asked: string[][] = [];
  const graph = {
    run: async (inputs: object) => {
      asked.push(Object.keys(inputs));
      return { logits: { dtype: 'float32' as const, shape: [1, cells, codes], data: new Float32Array(20) } };
    },
    dispose: async () => {},
  };
  const canvas = { codes: Int32Array.of(-1, 0, -1, 3), labels: Int32Array.of(-1) };
  const drawer = fileDrawer(graph, portable.asked, { batch: 1, cfgScale: 1, grids, classes: 0 });
  await drawer.draw(canvas, { choice, random: random() });
  expect(asked).toEqual(new Array(cells).fill(['codes']));
});

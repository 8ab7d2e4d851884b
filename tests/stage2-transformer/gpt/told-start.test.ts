/** Sequences without a start token: what is trained, and what draws with a cache, are one function. */
import '../../support/cpu.js';
import * as tf from '@tensorflow/tfjs-core';
import { silent } from '../../../src/base/progress.js';
import { type HostTensors, int32 } from '../../../src/base/tensor.js';
import { configSchema } from '../../../src/config/schema.js';
import { specsOfTensors, type Tensors } from '../../../src/engine/device.js';
import { openDevice } from '../../../src/engine/index.js';
import { valueAndGradsOf } from '../../../src/nn/gradients.js';
import { initialise, over, treeOf, under } from '../../../src/nn/params.js';
import { gptLogits, gptSpecs } from '../../../src/stage2-transformer/gpt/gpt.js';
import { gptPrior, gptSizes } from '../../../src/stage2-transformer/gpt/index.js';
import { expectClose } from '../../support/close.js';
import { eager } from '../../support/parity.js';

const condition = { name: 'condition', height: 1, width: 3, vocab: 5 };
const drawn = { name: 'codes', height: 2, width: 2, vocab: 4 };
const [batch, cells, given, codes] = [2, 7, 3, 5];
const settings = {
  ...configSchema.parse({}).prior,
  ...{ layers: 2, heads: 2, width: 16, dropout: 0, seed: 0, start: 'told' as const },
};
const priorOf = (o: Partial<typeof settings> = {}) =>
  gptPrior({ ...settings, ...o }, [drawn], { classes: [], grids: [condition] });
const sizesOf = (o: Partial<typeof settings> = {}) => gptSizes({ ...settings, ...o }, [condition, drawn]);

const canvas = {
  codes: Int32Array.from({ length: batch * cells }, (_, i) => (7 * i + (i >> 3)) % 4),
  labels: new Int32Array(batch).fill(-1),
};

function weightsOf(o: Partial<typeof settings> = {}): HostTensors {
  const weights = initialise(priorOf(o).learned, 4);
  for (const [name, { data }] of Object.entries(weights))
    if (!/gamma$/.test(name))
      for (const i of data.keys()) data[i] = 10 * data[i]! + 0.2 * Math.sin(3 * i + name.length);
  return weights;
}

/** [B, T − 1, K] of all codes but the last. */
async function logitsOf(all: Int32Array, o: Partial<typeof settings> = {}): Promise<number[][][]> {
  const ids = int32(
    [batch, cells - 1],
    all.filter((_, i) => i % cells < cells - 1),
  );
  const { logits } = await eager({ ids, ...weightsOf(o) }, ({ ids, ...p }) => ({
    logits: gptLogits(sizesOf(o), treeOf(gptSpecs(sizesOf(o)), p), ids!),
  }));
  const row = (b: number, t: number) =>
    Array.from(logits!.data.subarray((b * (cells - 1) + t) * codes, (b * (cells - 1) + t + 1) * codes));
  return Array.from({ length: batch }, (_, b) => Array.from({ length: cells - 1 }, (_, t) => row(b, t)));
}

test('the table has the codes alone, and as many places as there are tokens', () => {
  expect(priorOf().learned['tokens.weight']!.shape).toEqual([codes, 16]);
  expect(priorOf().learned.positions!.shape).toEqual([cells - 1, 16]);
});

test('the token at a place is the code of that cell, and costs are those of the cells that are drawn', async () => {
  const prior = priorOf();
  const { batched } = prior.feed('eval', 0, canvas);
  const first = canvas.codes.slice(0, cells);
  expect([...batched!.ids!.data.subarray(0, cells - 1)]).toEqual([...first.slice(0, -1)]);
  expect([...batched!.targets!.data.subarray(0, cells - 1)]).toEqual([...first.slice(1)]);
  expect(prior.inputs('eval', batch)).toEqual(specsOfTensors(batched!));

  const { nats } = await eager({ ...batched, ...weightsOf() }, ({ ids, targets, ...p }) => ({
    nats: prior.nats(p, { ids: ids!, targets: targets! }, 'eval'),
  }));
  const wanted = (await logitsOf(canvas.codes)).flatMap((rows, b) => [
    ...new Array<number>(given).fill(0),
    ...rows.slice(given - 1).map((logits, i) => {
      const total = Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0));
      return total - logits[canvas.codes[b * cells + given + i]!]!;
    }),
  ]);
  expectClose(nats!, wanted);
});

test('pkeep leaves what is told, the first code too', () => {
  const fed = (step: number) => priorOf({ pkeep: 0.01 }).feed('train', step, canvas).batched!.ids!.data;
  let changed = 0;
  for (let step = 1; step <= 20; step++)
    for (const [i, id] of fed(step).entries()) {
      const [row, place] = [Math.floor(i / (cells - 1)), i % (cells - 1)];
      if (place < given) expect(id).toBe(canvas.codes[row * cells + place]);
      else if (id !== canvas.codes[row * cells + place]) changed++;
    }
  expect(changed).toBeGreaterThan(60);
});

const likeliest = (logits: readonly number[]) => {
  const allowed = logits.slice(0, drawn.vocab);
  return allowed.indexOf(Math.max(...allowed));
};

describe.each([
  ['tfjs', 'f32', 'learned'],
  ['cpu', 'f32', 'learned'],
  ['cpu', 'int8', 'learned'],
  ['cpu', 'f32', 'rope'],
] as const)('%s, %s, %s places', (on, precision, positions) => {
  test('what is drawn with a cache is what a full pass says', async () => {
    const device = await openDevice({ device: on, threads: 1, reporter: silent });
    const o = { positions };
    const drawer = await priorOf(o).open(device, weightsOf(o), { batch, cfgScale: 1, precision });
    const known = { ...canvas, codes: canvas.codes.map((code, i) => (i % cells < given ? code : -1)) };
    const places: number[] = [];
    const all = await drawer.draw(known, {
      choice: { temperature: 1, topK: 1, topP: 1 },
      random: Array.from({ length: batch }, () => ({ uniform: () => 0 })),
      onPlace: (place) => places.push(place),
    });
    await drawer.dispose();
    expect(places).toEqual(Array.from({ length: cells }, (_, i) => i));
    for (const [b, rows] of (await logitsOf(all, o)).entries()) {
      const row = Array.from(all.subarray(b * cells, (b + 1) * cells));
      expect(row.slice(0, given)).toEqual([...canvas.codes.subarray(b * cells, b * cells + given)]);
      expect(row.slice(given)).toEqual(rows.slice(given - 1).map(likeliest));
    }
  });
});

test('guidance: one half begins with the code that is told, the other with that of nothing told', async () => {
  const device = await openDevice({ device: 'tfjs', threads: 1, reporter: silent });
  const drawer = await priorOf().open(device, weightsOf(), { batch: 1, cfgScale: 3 });
  const told = [1, 2, 0];
  const nothing = new Array<number>(given).fill(condition.vocab - 1);
  const all = await drawer.draw(
    { codes: Int32Array.of(...told, -1, -1, -1, -1), labels: Int32Array.of(-1) },
    { choice: { temperature: 1, topK: 1, topP: 1 }, random: [{ uniform: () => 0 }] },
  );
  await drawer.dispose();
  const picture = [...all.slice(given)];
  const [withIt, without] = await logitsOf(Int32Array.of(...told, ...picture, ...nothing, ...picture));
  for (const [i, code] of picture.entries()) {
    const [c, u] = [withIt![given - 1 + i]!, without![given - 1 + i]!];
    expect(likeliest(c.map((logit, k) => u[k]! + 3 * (logit - u[k]!)))).toBe(code);
  }
});

test('a batch costs the same in ONNX Runtime as on the cpu backend, with the same gradients', async () => {
  const prior = priorOf();
  const inputs = { ...prior.feed('train', 1, canvas).batched, ...over('model', weightsOf()) };
  const run = (all: Tensors) => {
    const { value, grads } = valueAndGradsOf(under('model', all), (p) =>
      tf.mean(prior.nats(p, all, 'train')),
    );
    return { value, ...grads };
  };
  const wanted = await eager(inputs, run);
  expect(Object.keys(wanted)).toEqual(['value', ...Object.keys(prior.learned)]);
  const device = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
  const graph = await device.prepare({ name: 'told', inputs: specsOfTensors(inputs), constants: {}, run });
  const found = await graph.run(inputs);
  for (const key of Object.keys(wanted)) expectClose(found[key]!, wanted[key]!, { atol: 1e-5, rtol: 1e-3 });
  await graph.dispose();
});

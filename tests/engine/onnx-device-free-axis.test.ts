/** Axes whose length each run chooses: one session, several lengths. */
import '../support/cpu.js';
import { silent } from '../../src/base/progress.js';
import { float32, type HostTensors } from '../../src/base/tensor.js';
import type { GraphProgram } from '../../src/engine/device.js';
import { tfjsDevice } from '../../src/engine/tfjs-device.js';
import { cachedAttention } from '../../src/nn/cached-attention.js';
import { expectClose } from '../support/close.js';
import { device, eager, noise } from '../support/parity.js';

const [batch, heads, perHead] = [3, 2, 4];
const inputsOf = (length: number): HostTensors => ({
  qkv: noise([batch, 3 * heads * perHead], 'qkv'),
  keys: noise([batch, heads, length, perHead], 'keys'),
  values: noise([batch, heads, length, perHead], 'values'),
  mask: noise([1, 1, 1, length], 'mask'),
});

const attention: GraphProgram = {
  name: 'attention',
  inputs: {
    qkv: { shape: [batch, 3 * heads * perHead], dtype: 'float32' },
    keys: { shape: [batch, heads, 6, perHead], dtype: 'float32', free: { 2: 'places' } },
    values: { shape: [batch, heads, 6, perHead], dtype: 'float32', free: { 2: 'places' } },
    mask: { shape: [1, 1, 1, 6], dtype: 'float32', free: { 3: 'places' } },
  },
  constants: {},
  run: ({ qkv, keys, values, mask }) => ({
    mixed: cachedAttention(qkv!, { keys: keys!, values: values!, mask: mask! }, heads),
  }),
};

/** Softmax over all places at once, one head at a time, straight from the definition. */
function byDefinition({ qkv, keys, values, mask }: HostTensors, b: number, h: number): number[] {
  const width = heads * perHead;
  const length = mask!.shape[3]!;
  const own = (part: number) =>
    qkv!.data.subarray(3 * width * b + part * width + h * perHead).subarray(0, perHead);
  const row = (t: HostTensors[string], l: number) =>
    t!.data.subarray(((b * heads + h) * length + l) * perHead).subarray(0, perHead);
  const places = Array.from({ length }, (_, l) => ({
    k: row(keys!, l),
    v: row(values!, l),
    m: mask!.data[l]!,
  }));
  const all = [...places, { k: own(1), v: own(2), m: 0 }];
  const score = (k: ArrayLike<number>) => [...own(0)].reduce((sum, q, i) => sum + q * k[i]!, 0) / 2; // √4
  const weights = all.map(({ k, m }) => Math.exp(score(k) + m));
  const total = weights.reduce((sum, w) => sum + w);
  return Array.from({ length: perHead }, (_, e) =>
    all.reduce((sum, { v }, l) => sum + (weights[l]! / total) * v[e]!, 0),
  );
}

test.each(['cpu', 'tfjs'])(
  '%s: cached attention at lengths below, at and above the traced one',
  async (name) => {
    const graph = await (name === 'cpu' ? device : await tfjsDevice(silent)).prepare(attention);
    for (const length of [6, 1, 3, 11]) {
      const inputs = inputsOf(length);
      const { mixed } = await graph.run(inputs);
      const wanted = Array.from({ length: batch * heads }, (_, i) =>
        byDefinition(inputs, Math.floor(i / heads), i % heads),
      ).flat();
      expectClose(mixed!, float32([batch, heads * perHead], wanted), { atol: 1e-5, rtol: 1e-4 });
    }
    await graph.dispose();
  },
);

test('the kernel equals its composition', async () => {
  const inputs = inputsOf(6);
  const wanted = await eager(inputs, attention.run as never);
  const graph = await device.prepare(attention);
  expectClose((await graph.run(inputs)).mixed!, wanted.mixed!, { atol: 1e-5, rtol: 1e-4 });
  await graph.dispose();
});

test('other axes stay as they are', async () => {
  const graph = await device.prepare(attention);
  const keys = noise([batch, heads, 6, perHead + 1]);
  await expect(graph.run({ ...inputsOf(6), keys })).rejects.toThrow(/keys is float32 \[3,2,6,5\] where/);
  await graph.dispose();
});

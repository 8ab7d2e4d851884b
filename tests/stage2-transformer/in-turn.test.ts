/** A step of each kind of prior, its batch at once and in parts. */
import { type HostTensors, scalar } from '../../src/base/tensor.js';
import { configSchema } from '../../src/config/schema.js';
import { onnxDevice } from '../../src/engine/onnx-device.js';
import { cpuTarget } from '../../src/engine/target.js';
import { under } from '../../src/nn/params.js';
import { sharedOf } from '../../src/stage2-transformer/in-turn.js';
import { priorOf, priorSettings } from '../../src/stage2-transformer/index.js';
import { priorStart, priorStep } from '../../src/stage2-transformer/step.js';

const grids = [
  { name: 'top', height: 1, width: 2, vocab: 3 },
  { name: 'bottom', height: 2, width: 2, vocab: 5 },
];
const sizes = { layers: 1, width: 16, heads: 2, dropout: 0.2, batch_size: 4 };
const codes = Int32Array.from({ length: 4 * 6 }, (_, i) => i % 3);
const labels = Int32Array.of(0, 1, -1, 1);

function priorOfKind(kind: string) {
  const config = configSchema.parse({ prior: { ...sizes, kind } });
  const prior = priorOf(priorSettings(config), grids, { classes: ['a', 'b'], grids: [] });
  return { prior, program: priorStep(config.prior, prior) };
}

/** Losses, norm and gradients: Adam makes steps of gradients that are but rounding. */
async function ofStep(kind: string, bytesAtOnce: number): Promise<{ all: HostTensors; nodes: number }> {
  const { prior, program } = priorOfKind(kind);
  let nodes = 0;
  const target = { ...cpuTarget, bytesAtOnce, product: counting };
  function counting(...args: Parameters<typeof cpuTarget.product>) {
    nodes++;
    return cpuTarget.product(...args);
  }
  const runner = await onnxDevice({ threads: 1, target }).prepareStep(program);
  runner.load(priorStart(prior, 3));
  const { batched, common } = prior.feed('train', 1, { codes, labels });
  const [losses] = await runner.run([{ ...batched, ...common, lr: scalar(1e-3), step: scalar(1) }]);
  const moments = under('adam.m', await runner.read());
  await runner.dispose();
  return { all: { ...losses, ...moments }, nodes };
}

test.each(['gpt', 'maskgit', 'pixelcnn'])('%s: losses, norm and gradients are the same', async (kind) => {
  const { prior } = priorOfKind(kind);
  const ofCanvas = 4 * prior.widest * 6;
  const [whole, halves, quarters] = [
    await ofStep(kind, Number.POSITIVE_INFINITY),
    await ofStep(kind, 2 * ofCanvas),
    await ofStep(kind, 1),
  ];
  expect(halves.nodes).toBeGreaterThan(whole.nodes);
  expect(quarters.nodes).toBeGreaterThan(halves.nodes);
  for (const { all } of [halves, quarters]) {
    expect(Object.keys(all)).toEqual(Object.keys(whole.all));
    for (const [name, { data }] of Object.entries(whole.all)) {
      const largest = Math.max(...Array.from(data, Math.abs));
      const apart = Math.max(...Array.from(data, (value, i) => Math.abs(value - all[name]!.data[i]!)));
      expect([name, apart <= 1e-5 * Math.max(largest, 1e-3)]).toEqual([name, true]);
    }
  }
});

test('what grows with the batch is shared among parts', () => {
  const { prior } = priorOfKind('gpt');
  const shared = sharedOf(prior.inputs('train', 4), prior.inputs('train', 2));
  expect(shared).toEqual(['ids', 'targets', 'noise.rows']);
});

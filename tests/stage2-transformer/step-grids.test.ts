/** Each kind of prior over two grids, of which the first decides the second: trained, its losses, drawn from. */
import { stream } from '../../src/base/rng.js';
import { scalar } from '../../src/base/tensor.js';
import { configSchema } from '../../src/config/schema.js';
import { onnxDevice } from '../../src/engine/onnx-device.js';
import { under } from '../../src/nn/params.js';
import { priorOf, priorSettings } from '../../src/stage2-transformer/index.js';
import { priorStart, priorStep } from '../../src/stage2-transformer/step.js';

const top = { name: 'top', height: 1, width: 2, vocab: 3 };
const bottom = { name: 'bottom', height: 2, width: 2, vocab: 5 };
const device = onnxDevice({ threads: 1 });

const image = (a: number, b: number) => [a, b, a, b, a + 2, b + 2];
const images = [0, 1, 2].flatMap((a) => [0, 1, 2].map((b) => image(a, b)));
const labels = new Int32Array(9).fill(-1);

test.each(['gpt', 'pixelcnn'])('%s', async (kind) => {
  const section = { kind, layers: 2, width: 16, heads: 2, dropout: 0, batch_size: 9, weight_decay: 0 };
  const config = configSchema.parse({ prior: section });
  const prior = priorOf(priorSettings(config), [top, bottom], { classes: [], grids: [] });
  const runner = await device.prepareStep(priorStep(config.prior, prior));
  runner.load(priorStart(prior, 0));
  const { batched } = prior.feed('train', 1, { codes: Int32Array.from(images.flat()), labels });
  const steps = Array.from({ length: 150 }, (_, i) => ({
    ...batched,
    lr: scalar(0.01),
    step: scalar(i + 1),
  }));
  const losses = (await runner.run(steps)).at(-1)!;
  const weights = under('model', await runner.read());
  await runner.dispose();
  const [loss, ofTop, ofBottom] = ['loss', 'loss_top', 'loss_bottom'].map((name) => losses[name]!.data[0]!);
  expect(ofTop).toBeCloseTo(Math.log(3), 1); // all pairs are as likely
  expect(ofBottom).toBeLessThan(0.05);
  expect(loss).toBeCloseTo((2 * ofTop! + 4 * ofBottom!) / 6, 4);

  const drawer = await prior.open(device, weights, { batch: 9, cfgScale: 1 });
  const drawn = await drawer.draw(
    { codes: new Int32Array(9 * 6).fill(-1), labels },
    {
      choice: { temperature: 1, topK: 0, topP: 1 },
      greedyFrom: 2,
      random: Array.from({ length: 9 }, (_, i) => stream(i)),
    },
  );
  await drawer.dispose();
  const rows = Array.from(labels, (_, i) => [...drawn.subarray(6 * i, 6 * i + 6)]);
  expect(rows).toEqual(rows.map(([a, b]) => image(a!, b!)));
  expect(new Set(rows.map(String)).size).toBeGreaterThan(2);
});

/**
 * An optimiser step of the prior in micro-batches against the same step at once: dropout masks and corrupted codes are
 * the same.
 */
import type { HostTensors } from '../../src/base/tensor.js';
import { scalar } from '../../src/base/tensor.js';
import { parseConfig } from '../../src/config/layers.js';
import { onnxDevice } from '../../src/engine/onnx-device.js';
import { trainingCanvases } from '../../src/stage2-transformer/sequences.js';
import { priorStart, priorStep } from '../../src/stage2-transformer/step.js';
import type { Tokens } from '../../src/tokenize/token-file.js';
import { microBatches, withoutPartial } from '../../src/train/accumulation.js';
import { expectSameUpTo } from '../support/close.js';
import { priorOfSizes } from '../support/gpt.js';
import { ids } from '../support/parity.js';

const sizes = { layers: 2, heads: 2, width: 16, codes: 7, tokens: 6 };
const tokens = {
  codes: ids([9, 6], 7).data,
  count: 9,
  height: 2,
  width: 3,
  vocab: 7,
  codings: 1,
} as unknown as Tokens;
const options = {
  batch_size: 4,
  dropout: 0.2,
  pkeep: 0.8,
  weight_decay: 0.1,
  heads: 2,
  width: 16,
};

async function threeSteps(
  accumulate: number,
  clip: number,
): Promise<{ state: HostTensors; losses: number[] }> {
  const { prior } = parseConfig({ prior: { ...options, accumulate, clip } }, 'test');
  const { dropout, pkeep } = prior;
  const model = priorOfSizes(sizes, { dropout, pkeep, accumulate, seed: 5 });
  const program = priorStep(prior, model);
  const runner = withoutPartial(program, await onnxDevice({ threads: 1 }).prepareStep(program));
  runner.load(priorStart(model, 3));
  const canvases = trainingCanvases(
    { tokens, labels: new Int32Array(9).fill(-1) },
    { batchSize: 4, seed: 1, classDropout: 0 },
  );
  const entries = [1, 2, 3].flatMap((step) => {
    const { batched, common } = model.feed('train', step, canvases(step));
    return microBatches(accumulate, batched!, { ...common, lr: scalar(1e-3), step: scalar(step) });
  });
  const outputs = await runner.run(entries);
  const state = await runner.read();
  await runner.dispose();
  const losses = outputs.map(({ loss }) => loss!.data[0]!);
  const mean = (i: number) =>
    losses.slice(i * accumulate, (i + 1) * accumulate).reduce((a, b) => a + b) / accumulate;
  return { state, losses: [0, 1, 2].map(mean) };
}

test.each([
  [2, 0.3],
  [4, 0],
])(
  '%d micro-batches, clip %d: losses, parameters and moments after three steps as at once',
  async (n, clip) => {
    const [one, many] = [await threeSteps(1, clip), await threeSteps(n, clip)];
    expect(many.losses).toEqual(one.losses.map((loss) => expect.closeTo(loss, 5)));
    expectSameUpTo(1e-4, many.state, one.state);
  },
);

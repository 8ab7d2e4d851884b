/**
 * Mixed precision on the GPU: three steps of each stage near those in float32, or a refusal in a sentence where the
 * adapter has no float16.
 */
import type { HostTensors } from '../../src/base/tensor.js';
import { livingGpuTensors } from '../../src/engine/gpu-tensors.js';
import { device } from '../support/parity.js';
import { priorTraining, stage1Training, type Training } from '../support/steps.js';

async function losses({ program, start, inputs }: Training): Promise<HostTensors[]> {
  const runner = await device.prepareStep(program);
  runner.load(start);
  const outputs = await runner.run([1, 2, 3].map(inputs));
  await runner.dispose();
  return outputs;
}

const trainings: [string, (precision: 'f32' | 'f16') => Training, number][] = [
  ['prior', priorTraining, 2e-3],
  ['stage 1', (precision) => stage1Training(false, { precision }), 5e-2],
  ['stage 1 with discriminator', (precision) => stage1Training(true, { precision, clip: 0.1 }), 0.2],
];

test.each(trainings)('%s', async (_, training, bound) => {
  const wide = await losses(training('f32'));
  const half = await losses(training('f16')).catch((error: Error) => error);
  expect(livingGpuTensors).toBe(0);
  if (half instanceof Error) {
    process.stderr.write(`skipped: ${half.message}\n`);
    expect(half.message).toMatch(
      /^Expected f32 for --precision but received f16, which .* \(no shader-f16\)\. /,
    );
    return;
  }
  const off = wide.map(({ loss }, i) => Math.abs(half[i]!.loss!.data[0]! / loss!.data[0]! - 1));
  expect(Math.max(...off)).toBeLessThan(bound);
  expect(half.filter(({ skipped }) => skipped!.data[0] === 0).length).toBeGreaterThan(0);
});

import { silent } from '../../src/base/progress.js';
import type { StepProgram } from '../../src/engine/device.js';
import { refuseWithoutExactBytes } from '../../src/engine/int8-trial.js';
import { tfjsDevice } from '../../src/engine/tfjs-device.js';
import { webgpuDevice } from '../../src/engine/webgpu-device.js';

test('sums of bytes that saturate at 16 bits are refused', async () => {
  await expect(refuseWithoutExactBytes(async () => false)).rejects.toThrow(
    'Expected f32 for --precision but received int8. Products of bytes overflow on this processor, which has no VNNI: leave --precision out.',
  );
  await refuseWithoutExactBytes(async () => true);
});

const program: StepProgram = {
  ...{ name: 'step', precision: 'int8', state: {}, inputs: {}, constants: {} },
  step: () => ({ state: {}, outputs: {} }),
};

test('other devices do not train in 8 bits', async () => {
  await expect((await tfjsDevice(silent)).prepareStep(program)).rejects.toThrow(
    'Expected f32 for --precision but received int8. 8-bit products need --device cpu.',
  );
  await expect(webgpuDevice('under test').prepareStep(program)).rejects.toThrow(
    'Expected f32 or f16 for --precision but received int8. Training in 8 bits needs --device cpu.',
  );
});

/** The part of the GPU tests that `npm test` runs where an adapter answers; the whole is `npm run test:gpu`. */
import { onnxDevice } from '../../src/engine/onnx-device.js';
import { webgpuDevice } from '../../src/engine/webgpu-device.js';
import { hasAdapter } from '../support/adapter.js';
import { expectClose } from '../support/close.js';
import { toyInputs, toyStart, toyStep } from '../support/toy.js';

const there = await hasAdapter();

(there ? test : test.skip)('a step on the GPU is the step on the CPU', async () => {
  const results = [];
  for (const device of [onnxDevice({ threads: 1 }), webgpuDevice('under test')]) {
    const runner = await device.prepareStep(toyStep);
    runner.load(toyStart);
    const outputs = await runner.run([1, 2, 3].map(toyInputs));
    results.push({ outputs, state: await runner.read() });
    await runner.dispose();
  }
  const [cpu, gpu] = results as [(typeof results)[0], (typeof results)[0]];
  for (const [name, wanted] of Object.entries(cpu.state)) expectClose(gpu.state[name]!, wanted);
  for (const [i, outputs] of cpu.outputs.entries()) {
    for (const [name, wanted] of Object.entries(outputs)) expectClose(gpu.outputs[i]![name]!, wanted);
  }
});

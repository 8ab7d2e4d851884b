import { encodeModel, type Port } from '../../src/engine/onnx.js';
import { createSession, ort } from '../../src/engine/runtime.js';

test('numbers too small for all their digits are zero, in the calling thread too', async () => {
  const at = (name: string): Port => ({ name, type: 'float32', shape: [2] });
  const { model } = encodeModel({
    name: 'product',
    nodes: [{ op: 'Mul', domain: '', inputs: ['a', 'b'], outputs: ['y'], attrs: {} }],
    initializers: [],
    inputs: [at('a'), at('b')],
    outputs: [at('y')],
  });
  const session = await createSession(model, { intraOpNumThreads: 1 });
  const floats = (...numbers: number[]) => new ort.Tensor('float32', Float32Array.from(numbers), [2]);
  const { y } = await session.run({ a: floats(2 ** -100, 2 ** -100), b: floats(2 ** -40, 2 ** -20) });
  expect([...(y!.data as Float32Array)]).toEqual([0, 2 ** -120]);
  await session.release();
});

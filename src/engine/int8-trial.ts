/** Whether this processor's products of bytes can be relied on. */
import { expected } from '../base/errors.js';
import { must } from '../base/lookup.js';
import { GraphBuilder, type Value } from './graph.js';
import { encodeModel, port } from './onnx.js';
import { createSession, ort } from './runtime.js';

const LONG = 64;

/**
 * Whether sums of bytes do not overflow: on x86 without VNNI, ONNX Runtime adds pairs of products in 16 bits
 * (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
 */
export function hasExactBytes(): Promise<boolean> {
  known ??= largestProduct().then((largest) => largest === 255 * 127 * LONG);
  return known;
}

let known: Promise<boolean> | undefined;

/** @throws UserError where they do */
export async function refuseWithoutExactBytes(exact = hasExactBytes): Promise<void> {
  if (await exact()) return;
  const next = 'Products of bytes overflow on this processor, which has no VNNI: leave --precision out.';
  throw expected('f32', '--precision', 'int8', next);
}

/** Of the largest bytes, 255 without a sign and 127 with one. */
async function largestProduct(): Promise<number | undefined> {
  const g = new GraphBuilder();
  const left: Value = { name: 'left', type: 'uint8', shape: [4, LONG] };
  const right: Value = { name: 'right', type: 'int8', shape: [LONG, 32] };
  const product = g.op('MatMulInteger', [left, right], {}, { shape: [4, 32], type: 'int32' });
  const { model } = encodeModel({
    name: 'bytes',
    nodes: g.nodes,
    initializers: [],
    inputs: [left, right].map((v) => port(v)),
    outputs: [port(product)],
  });
  const session = await createSession(model, { logSeverityLevel: 4, intraOpNumThreads: 1 });
  try {
    const results = await session.run({
      left: new ort.Tensor('uint8', new Uint8Array(4 * LONG).fill(255), left.shape),
      right: new ort.Tensor('int8', new Int8Array(LONG * 32).fill(127), right.shape),
    });
    return (must(results[product.name], product.name).data as Int32Array)[0];
  } finally {
    await session.release();
  }
}

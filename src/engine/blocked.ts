/**
 * Convolutions in ONNX Runtime's blocked layout (NCHWc: blocks of 8 or 16 neighbouring channels lie together). ONNX
 * Runtime turns to it by itself where filters are constant; learned filters have to be laid out in the graph, by its
 * internal operators. Whether they are there, how long a block is and whether the result is right, a small session
 * tries first.
 */
import { must, pairs } from '../base/lookup.js';
import { type Shape4, sizeOf } from '../base/tensor.js';
import { GraphBuilder, type Value } from './graph.js';
import { encodeModel, port } from './onnx.js';
import { permuteShape } from './permute.js';
import { createSession, ort } from './runtime.js';
import { type Convolution, convolution, cpuTarget, type Target } from './target.js';

/** The CPU's target, with blocked convolutions where this machine has them. */
export async function blockedTarget(): Promise<Target> {
  known ??= tryBlocks();
  const block = await known;
  return block === 1 ? cpuTarget : withBlocks(block);
}

/** The CPU's target for blocks of so many channels. */
export function withBlocks(block: number): Target {
  return {
    ...cpuTarget,
    convolution: (g, o) => (pays(g, o, block) ? blocked(g, o, block) : convolution(g, o)),
  };
}

let known: Promise<number> | undefined;

/** Pixels per channel from which on the faster kernel makes up for laying out filters and images. */
const PIXELS_PER_CHANNEL = 8;

function pays(g: GraphBuilder, { image, filters, shape }: Convolution, block: number): boolean {
  const [, into] = image.shape as Shape4;
  const [, out, height, width] = shape;
  const channels = [into, out];
  const large = height * width >= PIXELS_PER_CHANNEL * Math.max(...channels);
  return large && channels.every((n) => n % block === 0) && !g.initializers.has(filters.name);
}

function blocked(
  g: GraphBuilder,
  { image, filters, bias, options, shape }: Convolution,
  block: number,
): Value {
  const laidOut = layOut(g, filters, block);
  const source = g.op('nchwc.ReorderInput', [image], {}, { shape: image.shape });
  const inputs = bias ? [source, laidOut, bias] : [source, laidOut];
  const attrs = { ...options, dilations: [1, 1], group: 1 };
  const y = g.op('nchwc.Conv', inputs, attrs, { shape });
  return g.op('nchwc.ReorderOutput', [y], { channels: shape[1] }, { shape });
}

/**
 * [out, in, kh, kw] → [out/b, in/b, kh, kw, b of in, b of out], in two permutations that each keep or move one axis: a
 * third of the time of one that does all.
 */
function layOut(g: GraphBuilder, filters: Value, block: number): Value {
  const [out, into, kh, kw] = filters.shape as Shape4;
  const permuted = (x: Value, shape: number[], perm: number[]): Value => {
    const apart = g.op('Reshape', [x, g.ints(shape)], {}, { shape });
    return g.op('Transpose', [apart], { perm }, { shape: permuteShape(shape, perm) });
  };
  const outputsLast = permuted(filters, [out / block, block, into * kh * kw], [0, 2, 1]);
  const tapsFirst = permuted(outputsLast, [(out * into) / block ** 2, block, kh * kw, block], [0, 2, 1, 3]);
  return g.op('Reshape', [tapsFirst, g.ints(filters.shape)], {}, { shape: filters.shape });
}

/** The length of a block, by which the blocked convolution agrees with the plain one; 1 where there is none. */
async function tryBlocks(): Promise<number> {
  for (const block of [16, 8]) if (await agrees(block).catch(() => false)) return block;
  return 1;
}

async function agrees(block: number): Promise<boolean> {
  const value = (name: string, shape: number[]): Value => ({ name, type: 'float32', shape });
  const [image, filters] = [value('image', [2, 32, 5, 6]), value('filters', [16, 32, 3, 3])];
  const options = { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1] };
  const o: Convolution = { image, filters, options, shape: [2, 16, 5, 6] };
  const g = new GraphBuilder();
  const ends = [blocked(g, o, block), convolution(g, o)] as const;
  const { model } = encodeModel({
    name: 'blocks',
    nodes: g.nodes,
    initializers: [...g.initializers.values()],
    inputs: [image, filters].map((v) => port(v)),
    outputs: ends.map((v) => port(v)),
  });
  const session = await createSession(model, { logSeverityLevel: 4, intraOpNumThreads: 1 });
  try {
    const wave = ({ shape }: Value) =>
      new ort.Tensor(
        'float32',
        Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(i)),
        shape,
      );
    const results = await session.run({ image: wave(image), filters: wave(filters) });
    const numbers = (v: Value) => must(results[v.name], v.name).data as Float32Array;
    return pairs(numbers(ends[0]), numbers(ends[1])).every(([a, b]) => Math.abs(a - b) < 1e-3);
  } finally {
    await session.release();
  }
}

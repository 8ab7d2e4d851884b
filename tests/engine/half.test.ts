/**
 * Programs of precision `f16`: what of a graph is in float16, and that training steps come out as in float32 but for
 * rounding.
 */

import { silent } from '../../src/base/progress.js';
import type { HostTensors } from '../../src/base/tensor.js';
import { compileStep } from '../../src/engine/compile.js';
import type { StepProgram } from '../../src/engine/device.js';
import type { Node } from '../../src/engine/graph.js';
import { openDevice } from '../../src/engine/index.js';
import { cpuTarget, webgpuTarget } from '../../src/engine/target.js';
import { trace } from '../../src/engine/trace.js';
import { isLossScale } from '../../src/train/loss-scale.js';
import { device } from '../support/parity.js';
import { priorTraining, small, stage1Training, type Training } from '../support/steps.js';

const l2 = { pixel: 'l2', perceptual: { kind: 'none' } };
const trainings: [string, (precision: 'f32' | 'f16') => Training][] = [
  ['stage 1', (precision) => stage1Training(true, { precision })],
  ['prior', priorTraining],
];

const traced = ({ program: p }: Training, target = webgpuTarget) =>
  trace(
    p.name,
    { state: p.state, inputs: p.inputs },
    p.constants,
    ({ state, inputs }, constants) => {
      const { state: next, outputs } = p.step(state!, inputs!, constants);
      return { state: next, outputs };
    },
    { target, precision: p.precision },
  );

/** Runs groups of steps from a state on; what came before leaves nothing behind. */
async function prepared({ program, inputs }: Training) {
  const runner = await device.prepareStep(program);
  return async (start: HostTensors, groups: number[][]) => {
    const outputs: HostTensors[] = [];
    runner.load(start);
    for (const group of groups) outputs.push(...(await runner.run(group.map(inputs))));
    return { outputs, state: await runner.read() };
  };
}

describe.each(trainings)('%s', (_, training) => {
  test('in float32 the graph has no trace of float16, asked for or left out', async () => {
    const { program } = training('f32');
    const { precision: __, ...plain } = program;
    const models = [];
    for (const p of [program, plain as StepProgram])
      models.push(Buffer.from((await compileStep(p, { target: cpuTarget })).model.model));
    expect(models[0]!.equals(models[1]!)).toBe(true);
    const { graph } = await traced(training('f32'));
    const types = graph.nodes.flatMap(({ outputs }) => outputs.map((name) => graph.valueOf(name)?.type));
    expect(types).not.toContain('float16');
    expect(program.state).not.toHaveProperty(['loss_scale.value']);
  });

  test('products in float16; gradients of weights, sums and all that leaves in float32', async () => {
    const { graph, outputs } = await traced(training('f16'));
    const typeOf = (node: Node) => graph.valueOf(node.outputs[0]!)!.type;
    const those = (test: RegExp, wide: boolean) =>
      new Set(graph.nodes.filter((n) => test.test(n.op) && !!n.wide === wide).map(typeOf));
    const products = graph.nodes.filter(({ op, wide }) => /^(Conv|MatMul|Gemm)$/.test(op) && !wide);
    const half = products.filter((node) => typeOf(node) === 'float16').length;
    expect(half / products.length).toBeGreaterThan(0.8); // the rest: masks of noise, and products of gradients of weights
    expect(those(/^(MatMul|Gemm|LogSoftmax)$/, true)).toEqual(new Set(['float32']));
    expect(those(/^(Reduce|Softmax|LayerNorm|Sqrt|Div)/, false)).toEqual(new Set(['float32']));
    const ends = Object.values(outputs)
      .flat()
      .map(({ value }) => value.type);
    expect(ends).not.toContain('float16');
    const numbers = (name: string) => graph.valueOf(name)!.shape.reduce((a, b) => a * b, 1);
    const weights = Object.keys(training('f16').program.state).filter((name) => /^model.*weight$/.test(name));
    const casts = graph.nodes.filter(
      ({ op, inputs }) => op === 'Cast' && /^state\/model.*weight$/.test(inputs[0]!),
    );
    expect(casts.length).toBeLessThanOrEqual(weights.length); // once in a step
    expect(casts.every(({ outputs: [name] }) => numbers(name!) > 0)).toBe(true);
  });
});

/**
 * Largest relative difference of the losses in the first three of six steps and in all; measured: 6e-6 and 1.3e-5,
 * 1e-3 and 2.3e-2.
 */
test.each([
  ['prior', priorTraining, 5e-5, 5e-5],
  [
    'stage 1, smooth losses',
    (p: 'f32' | 'f16') => stage1Training(false, { ...small, ...l2, norm_groups: 32, precision: p }),
    5e-3,
    8e-2,
  ],
] as const)(
  '%s: losses as in float32 but for rounding; everything learns; resuming changes no bit',
  async (_, training, first, later) => {
    const six = [[1, 2, 3, 4, 5, 6]];
    const { start } = training('f16');
    const inWide = await prepared(training('f32'));
    const inHalf = await prepared(training('f16'));
    const wide = await inWide(training('f32').start, six);
    const half = await inHalf(start, six);
    const off = wide.outputs.map(({ loss }, i) =>
      Math.abs(half.outputs[i]!.loss!.data[0]! / loss!.data[0]! - 1),
    );
    expect(Math.max(...off.slice(0, 3))).toBeLessThan(first);
    expect(Math.max(...off)).toBeLessThan(later);
    expect(Math.max(...off)).toBeGreaterThan(0);
    for (const { skipped } of half.outputs) expect(skipped!.data[0]).toBe(0);
    const still = Object.keys(start).filter(
      (name) =>
        /^(model|ema)\./.test(name) && start[name]!.data.every((x, i) => x === half.state[name]!.data[i]),
    );
    expect(still).toEqual([]);
    expect(Object.keys(half.state).filter((name) => !isLossScale(name))).toEqual(Object.keys(wide.state));

    const before = await inHalf(start, [[1, 2], [3]]);
    const rest = await inHalf(before.state, [[4], [5, 6]]);
    expect(rest.state).toEqual(half.state);
    const kept = Object.fromEntries(Object.keys(wide.state).map((name) => [name, half.state[name]!]));
    const on = await inWide(kept, [[7]]);
    expect(Number.isFinite(on.outputs[0]!.loss!.data[0])).toBe(true);
  },
);

test('--device tfjs has no mixed precision', async () => {
  const eager = await openDevice({ device: 'tfjs', reporter: silent });
  await expect(eager.prepareStep(priorTraining('f16').program)).rejects.toThrow(
    'Expected f32 for --precision but received f16. Mixed precision needs --device cpu or webgpu.',
  );
});

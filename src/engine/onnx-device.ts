/** ONNX Runtime on the CPU. */
import os from 'node:os';
import { must, picked } from '../base/lookup.js';
import { type HostTensor, type HostTensors, sizeOf } from '../base/tensor.js';
import { blockedTarget } from './blocked.js';
import { type CompiledStep, compileGraph, compileStep, STEPS, stacked } from './compile.js';
import {
  checkTensors,
  type Device,
  type ProgramPrecision,
  type StepProgram,
  type StepRunner,
} from './device.js';
import { GraphRunner } from './graph-runner.js';
import { separateCopies } from './half.js';
import { hasExactBytes, refuseWithoutExactBytes } from './int8-trial.js';
import type { EncodedModel } from './onnx.js';
import { ort } from './runtime.js';
import {
  collectGarbage,
  fromOrt,
  hostTensor,
  type Numbers,
  openSession,
  release,
  runSession,
  runtimeVersion,
  toOrt,
  whenFull,
} from './sessions.js';
import { filled, membersOf } from './state-buffers.js';
import { cpuTarget, type Target } from './target.js';
import type { Slot } from './trace.js';

export interface SessionOptions {
  readonly threads?: number;
  /** Prefix of a file into which ONNX Runtime writes operator times. */
  readonly profile?: string;
  /** Bytes of state up to which several training steps run in one call; for tests. */
  readonly loopUpTo?: number;
  /** How operators are written, where not as suits this machine; for tests. */
  readonly target?: Target;
}

export function onnxDevice(options: SessionOptions = {}): Device {
  const threads = options.threads ?? os.availableParallelism();
  const open = (model: EncodedModel, o: { precision?: ProgramPrecision; withoutOptimizers?: string }) =>
    openSession(model, (folder) => sessionOptions(threads, { ...options, ...o, folder }));
  /** Blocks are for filters that are learned: to constant ones ONNX Runtime sees by itself. */
  const targetOfSteps = async (precision?: ProgramPrecision) =>
    options.target ?? (precision === 'f16' ? cpuTarget : await blockedTarget());
  const targetOf = async (precision?: ProgramPrecision) =>
    precision === 'int8 by rows' && (await hasExactBytes())
      ? { ...(options.target ?? cpuTarget), exactBytes: true as const }
      : options.target;
  return {
    name: 'cpu',
    description: `${runtimeVersion}, CPU, ${threads} thread${threads === 1 ? '' : 's'}`,
    prepare: async (program) => {
      const { model, ...slots } = await compileGraph(program, await targetOf(program.precision));
      return new GraphRunner(program, await open(model, { precision: program.precision }), slots);
    },
    prepareStep: async (program) => {
      if (program.precision === 'int8') await refuseWithoutExactBytes();
      const { model, ...compiled } = await compileStep(program, {
        loopBelow: options.loopUpTo,
        target: await targetOfSteps(program.precision),
      });
      const { name, state, inputs, precision } = program; // not its constants, which are in the session
      const session = await open(model, { precision, withoutOptimizers: idleOptimizers.join(';') });
      return new OnnxStepRunner({ name, state, inputs }, session, compiled);
    },
  };
}

/**
 * Optimizers that find nothing in a training step: they are after other exporters' GELUs, attentions, norms and
 * quantised products, and each of them goes through its thousands of nodes: more than a fifth of the time to a first
 * step.
 */
const idleOptimizers = [
  ...['AttentionFusion', 'EmbedLayerNormFusion', 'GroupQueryAttentionFusion', 'BiasDropoutFusion'],
  ...['GeluFusionL1', 'GeluFusionL2', 'BiasGeluFusion', 'FastGeluFusion', 'QuickGeluFusion'],
  ...['LayerNormFusionL1', 'LayerNormFusionL2', 'SimplifiedLayerNormFusion', 'SkipLayerNormFusion'],
  ...['BiasSkipLayerNormFusion', 'BiasSoftmaxFusion', 'LabelEncoderFusion', 'GatherToSliceFusion'],
  ...['GemmActivationFusion', 'MatMulActivationFusion', 'MatMul_BatchNormalization_Fusion'],
  ...['DynamicQuantizeMatMulFusion', 'MatMulIntegerToFloatFusion', 'Avx2WeightS8ToU8Transformer'],
  ...['EnsureUniqueDQForNodeUnit', 'DoubleQDQPairsRemover', 'QDQFinalCleanupTransformer'],
  ...['QDQPropagationTransformer', 'QDQS8ToU8Transformer', 'QDQSelectorActionTransformer', 'WhereDummyDq'],
];

interface SessionNeeds extends SessionOptions {
  readonly folder?: string;
  readonly precision?: ProgramPrecision;
  readonly withoutOptimizers?: string;
}

function sessionOptions(
  threads: number,
  { profile, folder, precision, withoutOptimizers }: SessionNeeds,
): ort.InferenceSession.SessionOptions {
  return {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'all',
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    enableMemPattern: false, // on, a training step holds a planned block beside the arena of its first run
    logSeverityLevel: 4, // what fails throws, too
    extra: {
      session: {
        ...(precision === 'f16' && separateCopies),
        ...(folder && { model_external_initializers_file_folder_path: folder }),
      },
      ...(withoutOptimizers && { optimization: { disable_specified_optimizers: withoutOptimizers } }),
    },
    ...(profile && { enableProfiling: true, profileFilePrefix: profile }),
  };
}

class OnnxStepRunner implements StepRunner {
  private released: Promise<void> | undefined;
  private state: Record<string, ort.Tensor> | undefined;

  constructor(
    private readonly program: Pick<StepProgram, 'name' | 'state' | 'inputs'>,
    private readonly session: ort.InferenceSession,
    private readonly compiled: Omit<CompiledStep, 'model'>,
  ) {}

  load(state: HostTensors): void {
    checkTensors(`state of ${this.program.name}`, this.program.state, state);
    this.state = Object.fromEntries(
      this.compiled.buffers.map((buffer) => [buffer.name, filled(buffer, state)]),
    );
  }

  async run(steps: readonly HostTensors[]): Promise<HostTensors[]> {
    this.current('runs');
    for (const inputs of steps) checkTensors(`inputs of ${this.program.name}`, this.program.inputs, inputs);
    if (this.compiled.looped) return this.runLoop(steps);
    const outputs: HostTensors[] = [];
    for (const inputs of steps) {
      outputs.push(await this.runOne(inputs));
      collectGarbage(); // the state before the step: as large as the one after it
    }
    return outputs;
  }

  private async runOne(inputs: HostTensors): Promise<HostTensors> {
    const feeds = this.stateFeeds();
    for (const { name, value } of this.compiled.inputs) feeds[value.name] = toOrt(must(inputs[name], name));
    const results = await runSession(this.session, feeds, { advice: whenFull.step });
    this.keep(results, (name) => name);
    return Object.fromEntries(
      this.compiled.outputs.map((slot) => [
        slot.name,
        fromOrt(must(results[`result/${slot.name}`], slot.name), slot),
      ]),
    );
  }

  private async runLoop(steps: readonly HostTensors[]): Promise<HostTensors[]> {
    const feeds = this.stateFeeds();
    feeds[STEPS] = new ort.Tensor('int64', BigInt64Array.of(BigInt(steps.length)), []);
    for (const { name, value } of this.compiled.inputs)
      feeds[stacked(value.name)] = stack(steps.map((inputs) => must(inputs[name], name)));
    const results = await runSession(this.session, feeds, { advice: whenFull.step });
    this.keep(results, stacked);
    return steps.map((_, i) =>
      Object.fromEntries(
        this.compiled.outputs.map((slot) => [
          slot.name,
          row(must(results[stacked(`result/${slot.name}`)], slot.name), slot, i),
        ]),
      ),
    );
  }

  private stateFeeds(): Record<string, ort.Tensor> {
    const state = this.current('runs');
    return Object.fromEntries(
      this.compiled.buffers.map(({ name }) => [`state/${name}`, must(state[name], name)]),
    );
  }

  private keep(results: ort.InferenceSession.OnnxValueMapType, named: (name: string) => string): void {
    this.state = Object.fromEntries(
      this.compiled.buffers.map(({ name }) => [name, must(results[named(`final/${name}`)], name)]),
    );
  }

  async read(): Promise<HostTensors> {
    const state = this.current('is read');
    const host: HostTensors = {};
    for (const { name, members } of this.compiled.buffers)
      Object.assign(host, membersOf(must(state[name], name), members));
    return picked(
      host,
      this.compiled.state.map(({ name }) => name),
    );
  }

  private current(what: string): Record<string, ort.Tensor> {
    if (!this.state) throw new Error(`internal: ${this.program.name} ${what} before its state is loaded`);
    return this.state;
  }

  dispose(): Promise<void> {
    this.state = undefined;
    this.released ??= release(this.session);
    return this.released;
  }
}

function stack(rows: readonly HostTensor[]): ort.Tensor {
  const [first] = rows as [HostTensor];
  const size = sizeOf(first.shape);
  const data = new (first.dtype === 'float32' ? Float32Array : Int32Array)(size * rows.length);
  rows.forEach((t, i) => {
    data.set(t.data, i * size);
  });
  return toOrt({ dtype: first.dtype, shape: [rows.length, ...first.shape], data });
}

function row(t: ort.Tensor, { shape }: Slot, i: number): HostTensor {
  const size = sizeOf(shape);
  return hostTensor((t.data as Numbers).slice(i * size, (i + 1) * size), shape);
}

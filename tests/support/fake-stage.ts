/** A stage that trains one number, for tests of the loop that trains it, and what such a run leaves behind. */
import path from 'node:path';
import { jest } from '@jest/globals';
import { float32, type HostTensors, int32, scalar } from '../../src/base/tensor.js';
import { sha256 } from '../../src/checkpoint/safetensors.js';
import { latestCheckpoint, listCheckpoints, readState } from '../../src/checkpoint/store.js';
import type { StepRunner } from '../../src/engine/device.js';
import type { Book } from '../../src/train/book-use.js';
import type { Cadence, Stage } from '../../src/train/loop.js';
import { readMetrics } from '../../src/train/metrics.js';

export const cadence: Cadence = { steps: 22, log_every: 3, eval_every: 4, checkpoint_every: 8, keep: 2 };

interface FakeRunner extends StepRunner {
  /** Length of each call. */
  calls: number[];
  /** Every step that was run, and its rate. */
  rates: [step: number, lr: number][];
}

interface Faults {
  dieAt?: number;
  nanAt?: number;
  nanStateAt?: number;
  /** From this step on the loss is 20. */
  jumpAt?: number;
  /** At a lower rate none of the last three happens. */
  safeBelow?: number;
  onStep?(step: number): void;
}

/** Momentum descent on one number, in float32: w is pulled towards each step's target. */
function fakeRunner(o: Faults) {
  let w = float32([1]);
  let m = float32([1]);
  const runner: FakeRunner = {
    calls: [],
    rates: [],
    load(state: HostTensors) {
      w = float32([1], Float32Array.from(state['model.w']!.data));
      m = float32([1], Float32Array.from(state['adam.m.w']!.data));
    },
    async run(steps) {
      runner.calls.push(steps.length);
      return steps.map((inputs) => {
        const step = inputs.step!.data[0]!;
        const lr = inputs.lr!.data[0]!;
        if (step === o.dieAt) throw new Error('killed');
        o.onStep?.(step);
        runner.rates.push([step, lr]);
        const faulty = lr >= (o.safeBelow ?? 0);
        const error = w.data[0]! - inputs.target!.data[0]!;
        m.data[0] = 0.9 * m.data[0]! + error;
        w.data[0] = faulty && step === o.nanStateAt ? Number.NaN : w.data[0]! - lr * m.data[0]!;
        const jumps = o.jumpAt !== undefined && step >= o.jumpAt;
        const loss = faulty && step === o.nanAt ? Number.NaN : faulty && jumps ? 20 : error * error;
        return { loss: scalar(loss), codes: int32([3], [step % 4, 0, 1]) };
      });
    },
    read: async () => ({ 'model.w': copy(w), 'adam.m.w': copy(m) }),
    dispose: async () => {},
  };
  return runner;
}

const copy = (t: HostTensors[string]) => float32(t.shape, Float32Array.from(t.data));

/** Depends on the state, and is best at the first checkpoint. */
export const validate: Stage['evaluate'] = async (step, state) => ({
  loss: step + Math.abs(state['model.w']!.data[0]!),
});

export const lr = 0.05;

export function fakeStage(
  folder: string,
  o: Faults & {
    cadence?: Cadence;
    patience?: number;
    lr?: number;
    evaluate?: Stage['evaluate'];
    /** Of three codes a step the first book has all, the second the last alone. */
    books?: readonly Book[];
  } = {},
): Stage & { runner: FakeRunner } {
  const { books = [{ name: 'codes', vocab: 4 }] } = o;
  return {
    name: 'Stage 1',
    folder,
    cadence: o.cadence ?? cadence,
    runner: fakeRunner(o),
    unit: 'images',
    unitsPerStep: 8,
    books,
    bestBy: { key: 'loss', higher: false },
    patience: o.patience,
    lr: o.lr ?? lr,
    guarded: { key: 'loss' },
    initialState: () => ({ 'model.w': float32([1], [5]), 'adam.m.w': float32([1]) }),
    inputs: async (step, { factor }) => [
      { step: scalar(step), lr: scalar(factor * (o.lr ?? lr)), target: scalar(Math.sin(step)) },
    ],
    observe: (step, [output]) => ({
      values: { loss: output!.loss!.data[0]!, ...(step > 10 ? { late: step / 3 } : {}) },
      codes: books.map((_, book) => output!.codes!.data.subarray(2 * book)),
    }),
    evaluate: o.evaluate ?? validate,
    fields: ({ loss }) => ({ loss: loss! }),
  };
}

/** What must not depend on when a run stopped: all metrics but times, weights, optimiser, state but times. */
export async function outcome(folder: string) {
  const checkpoint = latestCheckpoint(folder)!;
  const { seconds: _, metrics, ...state } = readState(checkpoint);
  const { seconds: __, ...running } = metrics as Record<string, unknown>;
  const lines = await readMetrics(path.join(folder, 'metrics.jsonl'));
  return {
    lines: lines.map(({ time_s: _, images_per_second: __, ...line }) => line),
    model: await sha256(path.join(checkpoint.path, 'model.safetensors')),
    optimizer: await sha256(path.join(checkpoint.path, 'optimizer.safetensors')),
    checkpoints: listCheckpoints(folder).map(({ step }) => step),
    state,
    running,
  };
}

/** Makes every look at the clock `seconds` later than the one before. */
export function slowClock(seconds: number): void {
  let now = 0;
  jest.spyOn(performance, 'now').mockImplementation(() => {
    now += seconds * 1000;
    return now;
  });
}

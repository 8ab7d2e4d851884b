/** Where a run stands at a checkpoint, or at its beginning. */
import type { HostTensors } from '../base/tensor.js';
import {
  type Best,
  type Checkpoint,
  isWeightsAlone,
  listCheckpoints,
  loadCheckpoint,
  readState,
} from '../checkpoint/store.js';
import { specsOfTensors } from '../engine/device.js';
import type { Book } from './book-use.js';
import { guardAt } from './guard.js';
import { isLossScale } from './loss-scale.js';
import { savedRunning, startRunning } from './metrics.js';

/** What is asked of a stage. */
interface Beginning {
  readonly folder: string;
  readonly books: readonly Book[];
  readonly lr: number;
  readonly kept?: Readonly<Record<string, number>>;
  initialState(): HostTensors;
}

/** All but its tensors. @throws UserError for a state of other codebooks */
export async function placeAt(stage: Beginning, checkpoint: Checkpoint | undefined) {
  const saved = checkpoint && readState(checkpoint);
  const step = saved?.step ?? 0;
  const { books, folder } = stage;
  const anew = checkpoint && (await isWeightsAlone(checkpoint));
  return {
    step,
    validated: saved?.validated ?? 0,
    best: saved?.best && isKept(folder, saved.best) ? saved.best : null,
    stale: saved?.stale ?? 0,
    running: saved?.metrics
      ? savedRunning(saved.metrics, books, checkpoint?.path ?? folder)
      : startRunning(books),
    seconds: saved?.seconds ?? 0,
    guard: guardAt(saved?.guard, { lr: stage.lr, step }),
    kept: saved?.kept ?? stage.kept,
    since: anew ? step : (saved?.moments_since ?? 0),
  };
}

/** Its checkpoint may have been damaged. */
const isKept = (folder: string, { step }: Best): boolean =>
  listCheckpoints(folder).some((checkpoint) => checkpoint.step === step);

/**
 * Its tensors, where it lacks some as a run begins with them. In a function of its own: what a run began with must not
 * stay in memory while it lasts.
 */
export async function beginning(stage: Beginning, from?: Checkpoint): Promise<HostTensors> {
  const initial = stage.initialState();
  if (!from) return initial;
  return { ...initial, ...(await loadCheckpoint(from, specsOfTensors(initial), isLossScale)) };
}

/** Where a run stands at a checkpoint, or at its beginning. */
import type { HostTensors } from '../base/tensor.js';
import {
  type Best,
  type Checkpoint,
  listCheckpoints,
  loadCheckpoint,
  readState,
} from '../checkpoint/store.js';
import { specsOfTensors } from '../engine/device.js';
import type { Book } from './book-use.js';
import { guardAt } from './guard.js';
import { firstScale, isLossScale } from './loss-scale.js';
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
export function placeAt(stage: Beginning, checkpoint: Checkpoint | undefined) {
  const saved = checkpoint && readState(checkpoint);
  const step = saved?.step ?? 0;
  const { books, folder } = stage;
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
  };
}

/** Its checkpoint may have been damaged. */
const isKept = (folder: string, { step }: Best): boolean =>
  listCheckpoints(folder).some((checkpoint) => checkpoint.step === step);

/** Its tensors. In a function of its own: what a run began with must not stay in memory while it lasts. */
export async function beginning(stage: Beginning, from?: Checkpoint): Promise<HostTensors> {
  const initial = stage.initialState();
  if (!from) return initial;
  const specs = specsOfTensors(initial);
  return { ...firstScale(specs), ...(await loadCheckpoint(from, specs, isLossScale)) };
}

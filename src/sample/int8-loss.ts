/** What sampling with 8-bit weights costs: the prior's validation loss with them and with its own. */

import path from 'node:path';
import * as z from 'zod';
import { expected, UserError } from '../base/errors.js';
import { writeFileAtomic } from '../base/files.js';
import type { Reporter } from '../base/progress.js';
import { readRegularText } from '../base/regular-file.js';
import { tokenFile } from '../checkpoint/run.js';
import { sha256 } from '../checkpoint/safetensors.js';
import type { TrainedModel } from '../checkpoint/store.js';
import type { Config } from '../config/schema.js';
import type { Device } from '../engine/device.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import { gridsOf } from '../stage1-vqgan/model.js';
import { type TrainedPrior, tokensFor } from '../stage2-transformer/model.js';
import { labelled, validationRows } from '../stage2-transformer/sequences.js';
import { frozenEvaluation, meanLosses } from '../stage2-transformer/step.js';
import { drawnGrids } from '../stage2-transformer/told.js';
import { describeBoth, sameTelling } from '../tokenize/conditions/compared.js';
import type { Tokens } from '../tokenize/token-file.js';

export interface Int8Loss {
  /** Nats per token. */
  readonly loss_f32: number;
  readonly loss_int8: number;
  /** By how much the second is higher. */
  readonly percent: number;
  /** How many both are means over. */
  readonly tokens: number;
}

export interface Int8LossOptions {
  readonly run: string;
  readonly config: Config;
  readonly prior: TrainedPrior;
  readonly tokenizer: TrainedModel;
  readonly device: Device;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
}

/** Percent; more is worth a warning. */
const acceptable = 0.5;

/**
 * Enough for the difference (docs/performance.md): both losses are of the same tokens, and most of what varies is in
 * both.
 */
const tokensLookedAt = 4096;
const batch = 16;

/**
 * Says on the reporter what 8-bit weights cost on tokens of the validation split, and returns it: null where there are
 * no such tokens. Measured once for each prior, token file and device: the run's `.cache` keeps the last one.
 */
export async function reportInt8Loss(o: Int8LossOptions): Promise<Int8Loss | null> {
  let val: Tokens;
  try {
    val = await tokensFor(o.run, 'val', gridsOf(o.config), o.tokenizer);
    checkTold(val, o);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    o.reporter.note(`What int8 weights cost cannot be measured. ${error.message}`);
    return null;
  }
  const file = path.join(o.run, '.cache', 'int8-loss.json');
  const key = [o.prior.sha256, await sha256(tokenFile(o.run, 'val')), o.device.description].join(' ');
  let loss = readKept(file, key);
  if (!loss) {
    loss = await measure(o, val);
    // A run that takes no files is measured anew each time.
    await writeFileAtomic(file, `${JSON.stringify({ key, ...loss })}\n`).catch(() => {});
  }
  const { loss_f32, loss_int8, percent, tokens } = loss;
  const change = `${percent <= -0.005 ? '−' : '+'}${Math.abs(percent).toFixed(2)} %`;
  const sentence = `With int8 weights the prior's validation loss is ${loss_int8.toFixed(4)} nats per token instead of ${loss_f32.toFixed(4)} (${change}, ${tokens} tokens)`;
  if (percent > acceptable) {
    o.reporter.warn(
      `${sentence}, more than ${acceptable} % higher. Without --precision int8 the images are the prior's own.`,
    );
  } else o.reporter.note(`${sentence}.`);
  return loss;
}

/** @throws UserError for tokens that tell something else than the prior is told */
function checkTold({ condition }: Tokens, { run, prior }: Int8LossOptions): void {
  if (sameTelling(condition, prior.told)) return;
  const [wanted, found] = describeBoth(prior.told, condition);
  throw expected(`tokens that tell of ${wanted}, as the prior is told,`, tokenFile(run, 'val'), found);
}

const keptLoss = z.strictObject({
  key: z.string(),
  loss_f32: z.number(),
  loss_int8: z.number(),
  percent: z.number(),
  tokens: z.int(),
});

function readKept(file: string, key: string): Int8Loss | undefined {
  try {
    const { key: of, ...loss } = keptLoss.parse(JSON.parse(readRegularText(file, 1 << 16)));
    return of === key ? loss : undefined;
  } catch {
    return undefined;
  }
}

async function measure({ prior, device, signal }: Int8LossOptions, val: Tokens): Promise<Int8Loss> {
  const { model, classes } = prior;
  const cells = cellsIn(drawnGrids(model));
  const rows = validationRows(val.count, Math.max(batch, Math.floor(tokensLookedAt / cells)));
  const loss = { f32: 0, int8: 0 };
  // First the one that a device may refuse.
  for (const precision of ['int8', 'f32'] as const) {
    const graph = await device.prepare(frozenEvaluation(model, prior.tensors, { batch, precision }));
    try {
      const set = labelled(val, classes);
      loss[precision] = (await meanLosses(graph, model, set, rows, { batch, signal })).loss;
    } finally {
      await graph.dispose();
    }
    signal?.throwIfAborted();
  }
  return {
    loss_f32: loss.f32,
    loss_int8: loss.int8,
    percent: 100 * (loss.int8 / loss.f32 - 1),
    tokens: rows.length * cells,
  };
}

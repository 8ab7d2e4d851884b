/** Drawing with MaskGIT's network: one program, the whole canvas in every pass, nothing kept between passes. */
import * as tf from '@tensorflow/tfjs-core';
import { type HostTensors, scalar } from '../../base/tensor.js';
import type { Device, GraphProgram, ProgramPrecision } from '../../engine/device.js';
import { treeOf } from '../../nn/params.js';
import type { Grid } from '../../stage1-vqgan/latent.js';
import type { Canvas } from '../canvas.js';
import type { Drawer, Opening } from '../prior.js';
import { untoldCodes } from '../told.js';
import type { Ask } from './filling.js';
import { type MaskgitSizes, maskgitLogits, maskgitSpecs, tokensIn } from './network.js';
import { passesDrawer, withAndWithout } from './passes-drawer.js';
import type { MaskSchedule } from './schedule.js';
import { tokensOf } from './tokens.js';

interface DrawerOptions extends Opening {
  readonly sizes: MaskgitSizes;
  readonly grids: readonly Grid[];
  readonly given: readonly Grid[];
  readonly schedule: MaskSchedule;
  readonly weights: HostTensors;
  readonly precision?: ProgramPrecision;
  readonly device: Device;
}

export async function openDrawer(o: DrawerOptions): Promise<Drawer> {
  const many = await opened(o);
  if (o.batch === 1) return passesDrawer(many.ask, { ...o, dispose: many.dispose });
  const one = await opened({ ...o, batch: 1 }).catch(async (error) => {
    await many.dispose();
    throw error;
  });
  const ask: Ask = async (canvas, how) => {
    if (!areAlike(canvas)) return many.ask(canvas, how);
    return repeated(await one.ask(firstOf(canvas), how), o.batch);
  };
  const dispose = async () => {
    await many.dispose();
    await one.dispose();
  };
  return passesDrawer(ask, { ...o, dispose });
}

async function opened(o: DrawerOptions): Promise<{ ask: Ask; dispose(): Promise<void> }> {
  const { sizes, device, cfgScale } = o;
  const untold = untoldCodes(o.given);
  const guided = cfgScale !== 1;
  const graph = await device.prepare(probabilitiesProgram(o, guided));
  return {
    async ask(canvas, { temperature, scale }) {
      const ids = tokensOf(sizes, guided ? withAndWithout(canvas, untold) : canvas);
      const inputs = { ids, temperature: scalar(temperature), ...(guided && { scale: scalar(scale) }) };
      return (await graph.run(inputs)).probabilities.data as Float32Array;
    },
    dispose: () => graph.dispose(),
  };
}

/**
 * Whether all canvases show the same, as they do in a first pass for the same class or picture: then one answers for
 * all.
 */
function areAlike({ codes, labels }: Canvas): boolean {
  const cells = codes.length / labels.length;
  return labels.every((label) => label === labels[0]) && codes.every((code, i) => code === codes[i % cells]);
}

function firstOf({ codes, labels }: Canvas): Canvas {
  return { codes: codes.subarray(0, codes.length / labels.length), labels: labels.subarray(0, 1) };
}

function repeated(values: Float32Array, times: number): Float32Array {
  const all = new Float32Array(times * values.length);
  for (let i = 0; i < times; i++) all.set(values, i * values.length);
  return all;
}

/**
 * `ids` int32 [B, S], `temperature` → `probabilities` [B·T, K]. With guidance ids are [2B, S], as `withAndWithout` has
 * them, and the logits are u + `scale`·(c − u) of those with a class and those without.
 */
function probabilitiesProgram(
  { sizes, weights, batch, precision }: DrawerOptions,
  guided: boolean,
): GraphProgram<'ids' | 'temperature', 'probabilities'> {
  const specs = maskgitSpecs(sizes);
  const number = { shape: [], dtype: 'float32' } as const;
  return {
    name: 'prior-maskgit',
    inputs: {
      ids: { shape: [guided ? 2 * batch : batch, tokensIn(sizes)], dtype: 'int32' },
      temperature: number,
      ...(guided && { scale: number }),
    },
    constants: weights,
    precision,
    run({ ids, temperature, scale }, p) {
      const logits = maskgitLogits(sizes, treeOf(specs, p), ids, { forward: true });
      return { probabilities: tf.softmax(tf.div(scale ? between(logits, scale) : logits, temperature)) };
    },
  };
}

/** c and u, one after the other, → u + s·(c − u). */
function between(both: tf.Tensor, scale: tf.Tensor): tf.Tensor {
  const [told, untold] = tf.split(both, 2, 0) as [tf.Tensor, tf.Tensor];
  return tf.add(untold, tf.mul(scale, tf.sub(told, untold)));
}

/** An open run, as the library gives it: each method checks what it is given and calls what the command calls. */
import os from 'node:os';
import { expected } from '../base/errors.js';
import { nth } from '../base/lookup.js';
import { type Reporter, silent } from '../base/progress.js';
import { runPaths } from '../checkpoint/run.js';
import { hasCheckpoint } from '../checkpoint/store.js';
import { psnr } from '../data/psnr.js';
import { readEvalImage } from '../data/reading.js';
import { completion } from '../sample/complete.js';
import { draw } from '../sample/draw.js';
import { edits } from '../sample/edit.js';
import { walk } from '../sample/interpolate.js';
import { type Painting, type PaintOptions, paint } from '../sample/paint.js';
import { reconstructed } from '../sample/reconstruct.js';
import { extentOf } from '../sample/scene.js';
import { openSource } from '../sample/sources.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import type * as api from './api.js';
import * as checks from './checks.js';
import { coder } from './coder.js';
import { imageOf, sourceOf } from './images.js';
import { keeping, loadedOnce } from './keep.js';
import { openRun } from './open.js';

const loading = {
  device: checks.among('cpu', 'webgpu', 'auto'),
  threads: checks.count,
  onWarning: checks.callback,
  onNote: checks.callback,
};

const drawing = {
  ...checks.ofCalls,
  ...{ n: checks.count, seed: checks.whole, classes: checks.texts },
  ...{ temperature: checks.number, topK: checks.number, topP: checks.number },
  ...{ cfgScale: checks.number, cfgGrowth: checks.among('constant', 'linear', 'cosine') },
  ...{
    decodeSteps: checks.number,
    order: checks.text,
    choiceTemperature: checks.number,
    revise: checks.number,
  },
};

const sampling = {
  ...drawing,
  ...{ size: checks.wholes(['width', 'height']), condition: checks.text, only: checks.text },
};

const keeps = ['top', 'left', 'right', 'bottom'];
const completing = {
  ...drawing,
  keep: [
    `one of ${keeps.join(', ')} or a fraction between 0 and 1`,
    (value: unknown) => keeps.some((side) => side === value) || (Number(value) > 0 && Number(value) < 1),
  ] as const,
};

const kind = checks.among(...Object.keys(edits));
const box = checks.wholes(['x', 'y', 'width', 'height'], ['width', 'height']);
const redrawing = { ...drawing, kind, box, mask: checks.image };
const share = ['a share above 0, such as 0.5,', (value: unknown) => Number(value) > 0] as const;
const editing: Record<api.EditOptions['kind'], Record<string, checks.Rule>> = {
  inpaint: redrawing,
  class: redrawing,
  outpaint: { ...drawing, kind, top: share, left: share, right: share, bottom: share },
};

const walking = {
  ...checks.ofCalls,
  ...{ from: checks.image, to: checks.image, classes: checks.texts, steps: checks.count },
  way: checks.among('arc', 'straight'),
};

export async function loadRun(place: string, o: api.LoadOptions = {}): Promise<api.Run> {
  if (typeof place !== 'string') throw expected('the folder of a run, or a name', 'loadRun', place);
  checks.checkOptions('loadRun', o, loading);
  const told = teller(o);
  const { device = 'cpu', threads } = o;
  const cores = os.availableParallelism();
  if (threads !== undefined && threads > cores)
    told.warn(`threads: ${threads} is more than the ${cores} cores here, which are used.`);
  const most = threads === undefined ? undefined : Math.min(threads, cores);
  const opened = await openRun(place, { device, threads: most, reporter: told });
  const { run } = opened;
  const loaded = loadedOnce(opened.loaded);
  const { config } = loaded;
  const { latent } = bottleneckOf(config);
  const drawn = latent.kind === 'codes' && hasCheckpoint(runPaths(run).prior);
  const prior = drawn ? (await loaded.models()).prior : undefined;
  await loaded.tokenizer();
  const kept = keeping(opened.device);
  const base = { run, loaded, device: kept };
  const { size } = config.data;
  const code = coder({ config, loaded, device: kept });

  /** What every function is given for a call. */
  const forCall = ({ signal, onProgress }: api.CallOptions) => {
    signal?.throwIfAborted();
    return { ...base, signal, reporter: onProgress ? { ...told, progress: progressTo(onProgress) } : told };
  };

  const painted = async (
    ask: (o: PaintOptions) => Promise<Painting>,
    o: PaintOptions,
  ): Promise<api.Edited> => {
    const { drawn, scene, kept } = await paint(await ask(o), o);
    const { width, height } = extentOf(scene);
    return {
      kept,
      images: drawn.map(({ picture, ...of }, index) => ({
        ...imageOf(picture, width, height),
        index,
        ...of,
      })),
    };
  };

  return {
    ...{ folder: run, size, config: structuredClone(config), device: kept.description },
    latent:
      latent.kind === 'codes'
        ? { kind: 'codes', grids: structuredClone(latent.grids) }
        : { kind: 'numbers', shape: [...latent.shape] },
    classes: [...(prior?.classes ?? (latent.kind === 'gaussian' ? latent.classes : []))],
    ...(prior && { prior: { kind: config.prior.kind, draws: prior.model.draws } }),

    async encode(images, o = {}) {
      checks.checkOptions('run.encode', o, checks.ofCalls);
      return code.encode(listOf(images, 'run.encode'), forCall(o));
    },

    async decode(latents, o = {}) {
      checks.checkOptions('run.decode', o, checks.ofCalls);
      const images = await code.decode(listOf(latents, 'run.decode'), forCall(o));
      return images.map((image) => imageOf(image, size));
    },

    async reconstruct(images, o = {}) {
      checks.checkOptions('run.reconstruct', o, checks.ofCalls);
      const { signal, reporter } = forCall(o);
      const sources = listOf(images, 'run.reconstruct').map((image) => sourceOf(image, 'run.reconstruct'));
      const { tensors } = await loaded.tokenizer();
      const progress = reporter.progress({ label: 'Reconstruct', total: sources.length, unit: 'images' });
      const views = async function* () {
        for (const source of sources) {
          signal?.throwIfAborted();
          yield (await readEvalImage(source, size, config.data)).data as Float32Array;
        }
      };
      const made: api.Reconstruction[] = [];
      for await (const pair of reconstructed(views(), { config, tensors, device: kept })) {
        const [seen, image] = [imageOf(pair.original, size), imageOf(pair.made, size)];
        made.push({ seen, image, psnr: psnr(pair.original, pair.made) });
        progress.update(made.length);
      }
      progress.stop();
      return made;
    },

    async *sample(o = {}) {
      checks.checkOptions('run.sample', o, sampling);
      const { size: extent, onProgress: _, n = 1, ...how } = o;
      const options = { ...how, n, extent, ...forCall(o) };
      const source = await openSource(options);
      const { size, tall, classes } = source;
      try {
        for await (const { pictures, unfinished } of draw(source, options)) {
          if (unfinished) o.signal?.throwIfAborted();
          for (const { image, number, label, recipe } of pictures) {
            const named = label >= 0 && { class: nth(classes, label) };
            yield { ...imageOf(image, size, tall), index: number, ...named, recipe };
          }
        }
      } finally {
        await source.dispose();
      }
    },

    async complete(image, o = {}) {
      checks.checkOptions('run.complete', o, completing);
      const { onProgress: _, keep, ...how } = o;
      const ask = (o: PaintOptions) => completion({ ...o, keep });
      return painted(ask, { ...how, image: sourceOf(image, 'run.complete'), ...forCall(o) });
    },

    async edit(image, o) {
      const { kind: given } = Object(o) as Partial<api.EditOptions>;
      if (given === undefined || !(given in editing))
        throw expected(kind[0], 'run.edit, kind', given ?? 'nothing');
      checks.checkOptions('run.edit', o, editing[given]);
      const { onProgress: _, kind: __, ...how } = o;
      const options = { ...how, image: sourceOf(image, 'run.edit'), ...forCall(o) };
      if (o.kind === 'outpaint') {
        const { top, left, right, bottom } = o;
        return painted((o) => edits.outpaint({ ...o, added: { top, left, right, bottom } }), options);
      }
      const { box, mask } = o;
      const part = { box, mask: mask === undefined ? undefined : sourceOf(mask, 'run.edit, mask') };
      return painted((asked) => edits[o.kind]({ ...asked, ...part }), options);
    },

    async interpolate(o) {
      checks.checkOptions('run.interpolate', Object(o), walking);
      const { from, to, classes, steps, way = 'arc' } = o;
      const images = [from, ...(to === undefined ? [] : [to])].map((image) =>
        sourceOf(image, 'run.interpolate'),
      );
      const { walked } = await walk([way], { images, classes, steps, ...forCall(o) });
      return nth(walked, 0).map((image) => imageOf(image, size));
    },

    dispose: () => kept.dispose(),
  };
}

/** Each sentence once, however many calls would say it. */
function teller({ onWarning, onNote }: api.LoadOptions): Reporter {
  const said = new Set<string>();
  const once = (say?: (sentence: string) => void) => (sentence: string) => {
    if (!said.has(sentence)) say?.(sentence);
    said.add(sentence);
  };
  return { ...silent, warn: once(onWarning), note: once(onNote) };
}

const progressTo =
  (onProgress: (progress: api.Progress) => void): Reporter['progress'] =>
  ({ label, total, unit }) => ({
    update: (done) => onProgress({ label, done, total, unit }),
    stop() {},
  });

/** @throws UserError for what is no list */
function listOf<T>(given: readonly T[], where: string): readonly T[] {
  if (Array.isArray(given)) return given;
  throw expected('a list', where, typeof given, 'Of one: [image].');
}

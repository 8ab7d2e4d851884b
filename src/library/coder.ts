/** Images as latents and back, in batches of one size. */
import { expected } from '../base/errors.js';
import { nth } from '../base/lookup.js';
import type { Reporter } from '../base/progress.js';
import { float32, type HostTensor, type HostTensors, int32, sizeOf } from '../base/tensor.js';
import type { Config } from '../config/schema.js';
import { imageAt } from '../data/grid.js';
import { inferenceBatch, padBatch } from '../data/inference-batch.js';
import { readEvalImage } from '../data/reading.js';
import type { Device } from '../engine/device.js';
import type { Loaded } from '../sample/loaded.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import { latentSpecs, type Latent as Shape } from '../stage1-vqgan/latent.js';
import { modelOf } from '../stage1-vqgan/model.js';
import { decodeProgram, encodeProgram } from '../stage1-vqgan/programs.js';
import type { Image, Latent } from './api.js';
import { sourceOf } from './images.js';

interface Call {
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
}

export function coder({ config, loaded, device }: { config: Config; loaded: Loaded; device: Device }) {
  const { size } = config.data;
  const { latent: shape } = bottleneckOf(config);
  const batch = inferenceBatch(size);

  /** What `work` makes of each batch of `all`. */
  const inBatches = async <A, B>(
    all: readonly A[],
    label: string,
    { reporter, signal }: Call,
    work: (some: readonly A[]) => Promise<B[]>,
  ): Promise<B[]> => {
    const progress = reporter.progress({ label, total: all.length, unit: 'images' });
    const made: B[] = [];
    try {
      for (let first = 0; first < all.length; first += batch) {
        signal?.throwIfAborted();
        made.push(...(await work(all.slice(first, first + batch))));
        progress.update(made.length);
      }
    } finally {
      progress.stop();
    }
    return made;
  };

  return {
    async encode(images: readonly (string | Image)[], call: Call): Promise<Latent[]> {
      const sources = images.map((image) => sourceOf(image, 'run.encode'));
      const { tensors } = await loaded.tokenizer();
      const graph = await device.prepare(encodeProgram(modelOf(config), tensors, batch));
      return inBatches(sources, 'Encode', call, async (some) => {
        const views = float32([some.length, size, size, 3]);
        for (const [i, source] of some.entries())
          views.data.set((await readEvalImage(source, size, config.data)).data, i * size * size * 3);
        const made = await graph.run({ images: padBatch(views, batch) });
        return some.map((_, i) => latentAt(shape, made, i));
      });
    },

    /** @returns [S, S, 3] each */
    async decode(latents: readonly Latent[], call: Call): Promise<Float32Array[]> {
      const rows = latents.map((latent) => rowsOf(shape, latent));
      const { tensors } = await loaded.tokenizer();
      const graph = await device.prepare(decodeProgram(modelOf(config), tensors, batch));
      return inBatches(rows, 'Decode', call, async (some) => {
        const { images } = await graph.run(stacked(shape, some, batch));
        return some.map((_, i) => imageAt(images, i));
      });
    },
  };
}

function latentAt(shape: Shape, made: HostTensors, i: number): Latent {
  const rows = Object.entries(latentSpecs(shape, 1)).map(([name, spec]) => {
    const width = sizeOf(spec.shape);
    return [name, made[name]!.data.slice(i * width, (i + 1) * width)] as const;
  });
  if (shape.kind === 'codes')
    return { kind: 'codes', grids: Object.fromEntries(rows as [string, Int32Array][]) };
  return { kind: 'numbers', numbers: nth(rows, 0)[1] as Float32Array };
}

type Rows = Readonly<Record<string, HostTensor['data']>>;

/** @throws UserError for a latent that is not the run's */
function rowsOf(shape: Shape, latent: Latent): Rows {
  const given = Object(latent) as { kind?: string; grids?: Record<string, unknown>; numbers?: unknown };
  if (shape.kind !== 'codes') {
    const width = sizeOf(shape.shape);
    const { numbers } = given;
    if (numbers instanceof Float32Array && numbers.length === width && numbers.every(Number.isFinite))
      return { latent: numbers };
    throw refused(
      `{ kind: 'numbers', numbers } with ${width} finite numbers, Float32Array,`,
      numbers ?? given.kind,
    );
  }
  return Object.fromEntries(
    shape.grids.map(({ name, height, width, vocab }) => {
      const codes = Object(given.grids)[name] as unknown;
      const fits = codes instanceof Int32Array && codes.length === height * width;
      const wrong = fits ? codes.find((code) => code < 0 || code >= vocab) : undefined;
      if (fits && wrong === undefined) return [name, codes];
      const what = `${height}×${width} codes from 0 to ${vocab - 1}, Int32Array, as grids.${name}`;
      throw refused(what, wrong ?? codes ?? given.kind);
    }),
  );
}

const refused = (what: string, received: unknown) => {
  const list = ArrayBuffer.isView(received) || Array.isArray(received);
  const shown = list ? `${received.constructor.name}(${(received as { length?: number }).length})` : received;
  return expected(what, 'run.decode', shown ?? 'nothing', 'run.latent says what a latent is.');
};

/** Of `batch` rows, zeros behind. */
function stacked(shape: Shape, rows: readonly Rows[], batch: number): HostTensors {
  return Object.fromEntries(
    Object.entries(latentSpecs(shape, batch)).map(([name, { shape, dtype }]) => {
      const whole = dtype === 'int32' ? int32(shape) : float32(shape);
      for (const [i, row] of rows.entries()) whole.data.set(row[name]!, i * row[name]!.length);
      return [name, whole];
    }),
  );
}

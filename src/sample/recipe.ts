/**
 * What a picture was drawn with, as JSON in its PNG: enough to draw it again, and nothing of the machine or of when it
 * was. What is equal in two recipes draws the same.
 */
import { createHash } from 'node:crypto';
import path from 'node:path';
import * as z from 'zod';
import { expected } from '../base/errors.js';
import { parseJson } from '../base/json.js';
import { version } from '../base/root.js';
import { shippedName } from '../checkpoint/shipped.js';
import type { Extent } from '../data/pictures.js';
import { textIn } from '../data/png-text.js';
import type { Device, Precision } from '../engine/device.js';
import type { Told } from './conditions.js';
import type { DrawingOptions, Settings } from './source.js';

const word = z.string().max(1000);
const sum = z.string().regex(/^[0-9a-f]{64}$/);
const whole = z.int().nonnegative();

const settingsSchema = z.strictObject({
  temperature: z.number(),
  top_k: whole.exactOptional(),
  top_p: z.number().exactOptional(),
  cfg_scale: z.number().exactOptional(),
  cfg_growth: z.enum(['constant', 'linear', 'cosine']).exactOptional(),
  decode_steps: whole.max(100_000).exactOptional(),
  order: word.exactOptional(),
  choice_temperature: z.number().exactOptional(),
  revise: z.number().exactOptional(),
});

const recipeSchema = z
  .strictObject({
    vqgen: word,
    /** `sample`; pictures of `complete` and `edit` cannot be drawn again by their recipe alone. */
    command: word,
    /** The run's name, for people. */
    run: word,
    /** Of what draws, by its part: of tensors in whatever file they stand, of an exported file all of it. */
    weights: z.record(word, sum),
    device: z.enum(['cpu', 'webgpu', 'tfjs']),
    precision: z.enum(['int8', 'f16']).exactOptional(),
    /** Of one picture, pixels. */
    size: z.string().regex(/^[1-9]\d{0,5}x[1-9]\d{0,5}$/),
    only: word.exactOptional(),
    seed: whole,
    settings: settingsSchema,
    /** Of a single picture: its number, and its class where it has one. */
    index: whole.exactOptional(),
    class: word.exactOptional(),
    /** Of a grid: how many pictures were asked for, and the classes that were named. */
    images: whole.min(1).exactOptional(),
    classes: z.array(word).exactOptional(),
    /** The file of which it is told, and its number among the files; of a grid all of them. */
    condition: z.strictObject({ sha256: sum, number: whole.exactOptional() }).exactOptional(),
    /** Of `complete` and `edit`: the picture as the run saw it, and what of it was drawn. */
    plan: sum.exactOptional(),
  })
  .refine(({ index, images }) => (index === undefined) !== (images === undefined), {
    message: 'one of index and images',
  });

export type Recipe = z.infer<typeof recipeSchema>;

/** What all pictures of a call share. */
export type CommonRecipe = Omit<Recipe, 'index' | 'class' | 'images' | 'classes' | 'condition'>;

/** @param o.again where a picture is drawn again: the name of the run goes by its weights */
export function commonRecipe(o: {
  command: string;
  run: string;
  weights: Recipe['weights'];
  device: Device;
  precision?: Precision;
  extent: Extent;
  only?: string;
  seed: number;
  settings: Settings;
  plan?: string;
  again?: Recipe;
}): CommonRecipe {
  const { command, run, weights, device, precision = 'f32', extent, only, seed, settings, plan, again } = o;
  return {
    ...{ vqgen: version, command, run: again && isSame(again.weights, weights) ? again.run : runName(run) },
    ...{ weights, device: device.name },
    ...(precision !== 'f32' && { precision }),
    size: `${extent.width}x${extent.height}`,
    ...(only !== undefined && { only }),
    ...{ seed, settings: settingsSchema.parse(settings) },
    ...(plan !== undefined && { plan }),
  };
}

/** For people, and where it may be looked for: nothing of where it stands. */
export const runName = (run: string): string => shippedName(run) ?? path.basename(path.resolve(run));

const isSame = (a: Recipe['weights'], b: Recipe['weights']): boolean =>
  otherWeights({ weights: a }, { weights: b }).length === 0;

/** As JSON in ASCII, whatever the names in it. */
export const recipeText = (recipe: Recipe): string =>
  JSON.stringify(recipe).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** Bytes; the names of classes are the longest. */
export const longestRecipe = 1 << 20;

/**
 * The recipe in the bytes of a picture.
 *
 * @param file what to call it in errors, those of `--like`
 * @throws UserError for what is no PNG, has none, or a damaged one
 */
export function recipeIn(bytes: Buffer, file: string): Recipe {
  const asWritten = 'Name the file as vqgen wrote it.';
  const refuse = (received: string, next: string, cause?: unknown) =>
    expected('a PNG with the recipe that vqgen sample writes', '--like', received, next, cause);
  let text: string | undefined;
  try {
    text = textIn(bytes, longestRecipe);
  } catch (error) {
    throw refuse(`${file}, ${(error as Error).message}`, asWritten, error);
  }
  if (text === undefined) {
    const next = 'Programs that save a picture anew often leave it out; vqgen of before wrote none.';
    throw refuse(`${file}, which has none`, next);
  }
  let json: unknown;
  try {
    json = parseJson(text);
  } catch (error) {
    throw refuse(`${file}, whose recipe is no JSON`, asWritten, error);
  }
  const { data, error } = recipeSchema.safeParse(json);
  if (data) return data;
  const [issue] = error.issues;
  const place = issue?.path.map(String).join('.');
  const what = issue?.code === 'unrecognized_keys' ? `: ${issue.message}` : place ? ` at ${place}` : '';
  throw refuse(
    `${file}, whose recipe is another than this version, ${version}, writes${what}`,
    'It is damaged, or a later version of vqgen wrote it.',
    error,
  );
}

/** The options that draw it. */
export function drawingIn({ settings }: Pick<Recipe, 'settings'>): DrawingOptions {
  const { temperature, top_k: topK, top_p: topP, cfg_scale: cfgScale, cfg_growth: cfgGrowth } = settings;
  const { decode_steps: decodeSteps, order, choice_temperature: choiceTemperature, revise } = settings;
  return {
    ...{ temperature, topK, topP, cfgScale, cfgGrowth },
    ...{ decodeSteps, order, choiceTemperature, revise },
  };
}

export function extentIn({ size }: Pick<Recipe, 'size'>): Extent {
  const [width = 0, height = 0] = size.split('x').map(Number);
  return { width, height };
}

/** Of files that tell something, all of them. */
export function sumOfTold(told: readonly Told[]): string {
  const hash = createHash('sha256');
  for (const { digest } of told) hash.update(`${digest};`);
  return hash.digest('hex');
}

/** In a sentence each: what draws otherwise now than it did then. */
export function differences(then: Recipe, now: Recipe): string[] {
  const { vqgen, run: _, weights: __, device, ...others } = then;
  const said = (what: string, here: unknown, there: unknown): string[] => {
    const [a, b] = [here, there].map((v) => (typeof v === 'string' ? v : JSON.stringify(v)));
    return a === b ? [] : [`${what}: ${a ?? 'none'} here, ${b ?? 'none'} in the picture.`];
  };
  const keys = new Set([...Object.keys(others), ...Object.keys(now)]) as Set<keyof Recipe>;
  for (const key of ['vqgen', 'run', 'weights', 'device'] as const) keys.delete(key);
  return [
    ...said('Another version of vqgen', now.vqgen, vqgen),
    ...otherWeights(then, now),
    ...said('Another device', now.device, device),
    ...[...keys].flatMap((key) => said(`Another ${key}`, now[key], then[key])),
  ];
}

function otherWeights(then: Pick<Recipe, 'weights'>, now: Pick<Recipe, 'weights'>): string[] {
  const names = new Set([...Object.keys(then.weights), ...Object.keys(now.weights)]);
  return [...names].flatMap((name) => {
    const [here, there] = [now, then].map(({ weights }) => weights[name]?.slice(0, 8));
    if (now.weights[name] === then.weights[name]) return [];
    return [`Other weights of the ${name}: ${here ?? 'none'} here, ${there ?? 'none'} in the picture.`];
  });
}

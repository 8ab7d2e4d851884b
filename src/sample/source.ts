/**
 * What `sample` and `evaluate` draw pictures from. Each kind is a file `…-source.ts` beside this one and an entry in
 * `sources.ts`.
 */
import type { Reporter } from '../base/progress.js';
import type { Extent } from '../data/pictures.js';
import type { Device, Precision } from '../engine/device.js';
import type { Growth } from '../stage2-transformer/guidance.js';
import type { ClassOf } from './classes.js';
import type { Told, ToldAs } from './conditions.js';
import type { Int8Loss } from './int8-loss.js';
import type { Loaded } from './loaded.js';

/** Most pictures drawn at a time. */
export const sampleBatch = 16;

/** How codes are drawn; what is left out is the config's. */
export interface DrawingOptions {
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly cfgScale?: number;
  readonly cfgGrowth?: Growth;
  /** These of a prior that draws anywhere, see `Passes`. */
  readonly decodeSteps?: number;
  readonly order?: string;
  readonly choiceTemperature?: number;
  readonly revise?: number;
}

/** What each is called on the command line. */
export const drawingOptions = {
  temperature: '--temperature',
  topK: '--top-k',
  topP: '--top-p',
  cfgScale: '--cfg-scale',
  cfgGrowth: '--cfg-growth',
  decodeSteps: '--decode-steps',
  order: '--order',
  choiceTemperature: '--choice-temperature',
  revise: '--revise',
} as const satisfies Record<keyof DrawingOptions, string>;

/** What decides pictures beside the seed, by the names of the config. */
export type Settings = Readonly<Record<string, number | string>>;

/** What a call may say. A source refuses what it has no use for. */
export interface SourceOptions extends DrawingOptions {
  readonly run: string;
  /** Of the run; read from its folder unless given. */
  readonly loaded?: Loaded;
  /** That of the pictures that it was trained on unless given. */
  readonly extent?: Extent;
  /** Pictures that are wanted in all; as many as it likes unless given. */
  readonly n?: number;
  /** Name of the last grid that is drawn; those after it have their likeliest codes. All are drawn unless given. */
  readonly only?: string;
  readonly seed?: number;
  /** Names of the classes to draw, in turn; every class that the source knows unless given. */
  readonly classes?: readonly string[];
  /** In place of `classes`. */
  readonly classOf?: ClassOf;
  /** A file or a folder: pictures, or maps, of which the prior is told; then `n` are drawn for each. */
  readonly condition?: string;
  /** Of its files only this one. */
  readonly toldAs?: ToldAs;
  /** In place of `condition`: the codes that tell it, by the picture's number. */
  readonly toldOf?: (image: number) => Int32Array;
  /** Of the source's products; `f32` unless given. */
  readonly precision?: Precision;
  readonly device: Device;
  readonly reporter: Reporter;
  readonly signal?: AbortSignal;
}

export interface Drawn {
  /** [S, S, 3] in about [−1, 1], or [`tall`, S, 3]. */
  readonly images: readonly Float32Array[];
  /** The class of each, an index into `classes`; −1 without. */
  readonly labels: Int32Array;
  /** How long its latents took. */
  readonly seconds: number;
  /** Set where the signal ended it: what is not drawn is white. */
  readonly unfinished?: boolean;
}

/** Ready to draw. */
export interface Source {
  readonly seed: number;
  /** Of the folder of what it draws. */
  readonly name: string;
  /** Width of an image, pixels, and its height where that is another. */
  readonly size: number;
  readonly tall?: number;
  /**
   * Pictures that it draws at a time. A batch is always full: what a picture looks like does not depend on how many
   * were asked for.
   */
  readonly batch: number;
  /** Steps in which it draws a batch. */
  readonly places: number;
  /** Codes of a picture. */
  readonly tokens: number;
  /** What is told, in turn: of each file `n` pictures. */
  readonly told?: readonly Told[];
  /** Names of the classes that it knows. */
  readonly classes: readonly string[];
  /** As `evaluate` names them. */
  readonly settings: Settings;
  /** Sums of the weights that draw, by their part. */
  readonly weights: Readonly<Record<string, string>>;
  /** Only with int8 weights: what they cost, or null where there is nothing to measure it on. */
  readonly int8?: Int8Loss | null;
  /**
   * The images `first` … `first + batch − 1` of the seed.
   *
   * @param first a multiple of `batch`
   * @param onPlace called after each place
   */
  draw(first: number, onPlace: (place: number) => void): Promise<Drawn>;
  dispose(): Promise<void>;
}

/**
 * All that `import … from 'vqgen'` gives, and all that the version of the package promises (docs/library.md). Its
 * declarations are those of the package, so it imports nothing.
 */

/** 8-bit RGB, row by row from the upper left: `data` has width · height · 3 bytes. */
export interface Image {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

/** A picture that a run drew. */
export interface DrawnImage extends Image {
  /** Its number in the call: it and the seed decide what is drawn, whatever else is. */
  readonly index: number;
  /** Only where it was drawn of a class. */
  readonly class?: string;
  /** What it was drawn with, JSON: `writeImage` keeps it in a PNG, as `vqgen sample` does. */
  readonly recipe: string;
}

/** Codes that lie in rows and columns, from 0 to vocab − 1. */
export interface Grid {
  readonly name: string;
  readonly height: number;
  readonly width: number;
  readonly vocab: number;
}

/** What an image becomes: codes on one or several grids, or numbers. */
export type LatentShape =
  | { readonly kind: 'codes'; readonly grids: readonly Grid[] }
  | { readonly kind: 'numbers'; readonly shape: readonly number[] };

/** What one image became: the codes of each grid by its name, row by row, or numbers. */
export type Latent =
  | { readonly kind: 'codes'; readonly grids: Readonly<Record<string, Int32Array>> }
  | { readonly kind: 'numbers'; readonly numbers: Float32Array };

export interface Reconstruction {
  /** The square of the image that the run sees, resized. */
  readonly seen: Image;
  readonly image: Image;
  /** dB, of the two. */
  readonly psnr: number;
}

export interface Edited {
  /** The proposals, as many as were asked for. */
  readonly images: readonly DrawnImage[];
  /** Share of the codes that are the image's. */
  readonly kept: number;
}

/** How far a call has come. */
export interface Progress {
  /** What is done: `Sample`. */
  readonly label: string;
  readonly done: number;
  readonly total: number;
  /** A plural noun: `places`. */
  readonly unit: string;
}

export interface LoadOptions {
  /**
   * `cpu` unless given; `webgpu`: any GPU that answers; `auto`: a GPU where one is faster than the CPU, which a child
   * process tries.
   */
  readonly device?: 'cpu' | 'webgpu' | 'auto';
  /** Of the CPU; all cores unless given. The same number, the same pixels. */
  readonly threads?: number;
  /** Told in sentences of what may surprise; of nothing unless given. */
  readonly onWarning?: (sentence: string) => void;
  /** Told of what else a command would say. */
  readonly onNote?: (sentence: string) => void;
}

export interface CallOptions {
  /** Ends the call, which then throws its reason. */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** How codes are drawn; what is left out is as the run's config says. Called on the command line `--top-k` for `topK`. */
export interface DrawingOptions extends CallOptions {
  /** The config's unless given. */
  readonly seed?: number;
  /** Names, in turn: an image is of one. */
  readonly classes?: readonly string[];
  /** Above 0: below 1 likelier codes, above 1 more varied ones. */
  readonly temperature?: number;
  /** Among the k likeliest codes; 0: among all. */
  readonly topK?: number;
  /** Among the likeliest codes that together have this probability, above 0 and up to 1. */
  readonly topP?: number;
  /** Classifier-free guidance; 1: none. */
  readonly cfgScale?: number;
  readonly cfgGrowth?: 'constant' | 'linear' | 'cosine';
  /** These only of a prior that draws anywhere. */
  readonly decodeSteps?: number;
  readonly order?: 'confidence' | 'halton';
  readonly choiceTemperature?: number;
  readonly revise?: number;
}

export interface SampleOptions extends DrawingOptions {
  /** Pictures, of each file of `condition` where that is given; 1 unless given. */
  readonly n?: number;
  /** Pixels, in whole codes; as trained unless given. */
  readonly size?: { readonly width: number; readonly height: number };
  /** A file, or a folder of files, of which a prior is told that is told of edges, colours or maps. */
  readonly condition?: string;
  /** Of codes on several grids the last that is drawn; of those after it the likeliest codes are taken. */
  readonly only?: string;
}

export interface ProposalOptions extends DrawingOptions {
  /** Proposals; 4 unless given. */
  readonly n?: number;
}

export interface CompleteOptions extends ProposalOptions {
  /** What is kept: the half at a side, or a share of the rows from the top; `top` unless given. */
  readonly keep?: 'top' | 'left' | 'right' | 'bottom' | number;
}

/** In pixels of the image, from its upper left. */
export interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

/** What is redrawn: one of the two. */
export interface RedrawnPart {
  readonly box?: Box;
  /** As large as the image, white where it is redrawn; a file or an image. */
  readonly mask?: string | Image;
}

/** Of a prior that draws anywhere. */
export type EditOptions =
  | ({ readonly kind: 'inpaint' } & RedrawnPart & ProposalOptions)
  /** As another class: `classes` must be given. */
  | ({ readonly kind: 'class' } & RedrawnPart & ProposalOptions)
  /** What is added on each side, as shares of the image's side. */
  | ({
      readonly kind: 'outpaint';
      readonly top?: number;
      readonly left?: number;
      readonly right?: number;
      readonly bottom?: number;
    } & ProposalOptions);

export interface InterpolateOptions extends CallOptions {
  /** A file or an image. */
  readonly from: string | Image;
  /** The other end, or `classes`. */
  readonly to?: string | Image;
  /** Of a run whose latent knows classes: from what the image is as the first to what it would be as the second. */
  readonly classes?: readonly [string, string];
  /** Both ends included; 9 unless given. */
  readonly steps?: number;
  /** `arc` unless given: along a great circle, as long in between as at the ends. */
  readonly way?: 'arc' | 'straight';
}

/** The keys of a config (`configs/defaults.yaml` explains them), with all that was left out. */
export interface RunConfig {
  readonly seed: number;
  readonly data: Readonly<Record<string, unknown>> & { readonly size: number };
  readonly stage1: Readonly<Record<string, unknown>>;
  readonly tokenize: Readonly<Record<string, unknown>>;
  readonly prior: Readonly<Record<string, unknown>>;
  readonly sample: Readonly<Record<string, unknown>>;
}

/**
 * A trained run, open. Weights are read once, networks are prepared once and kept until `dispose`. Several may be open,
 * and several calls under way. Nothing is written into its folder.
 *
 * Wherever an image is taken, a file will do. Of an image of any size a run sees the square in the middle, resized.
 *
 * Every method throws a `UserError` for what its run cannot do.
 */
export interface Run {
  /** Its folder. */
  readonly folder: string;
  readonly config: RunConfig;
  /** Side S of the pictures, pixels. */
  readonly size: number;
  readonly latent: LatentShape;
  /** Names of the classes that it knows; none: it was trained without. */
  readonly classes: readonly string[];
  /** What draws its codes, where they are drawn by a prior and it has one: in order, or anywhere in a picture. */
  readonly prior?: { readonly kind: string; readonly draws: 'in order' | 'anywhere' };
  /** For people: `ONNX Runtime 1.30, CPU, 2 threads`. */
  readonly device: string;

  encode(images: readonly (string | Image)[], o?: CallOptions): Promise<Latent[]>;
  /** The reverse: [S, S] each. */
  decode(latents: readonly Latent[], o?: CallOptions): Promise<Image[]>;
  reconstruct(images: readonly (string | Image)[], o?: CallOptions): Promise<Reconstruction[]>;
  /** The pixels that `vqgen sample` draws of the same seed, classes and settings. Drawn as they are asked for. */
  sample(o?: SampleOptions): AsyncGenerator<DrawnImage, void, undefined>;
  /** The rest of an image of which a part is kept, by any prior. */
  complete(image: string | Image, o?: CompleteOptions): Promise<Edited>;
  edit(image: string | Image, o: EditOptions): Promise<Edited>;
  /** From end to end. */
  interpolate(o: InterpolateOptions): Promise<Image[]>;
  /** Waits for what is being computed; any later call throws a `UserError`. */
  dispose(): Promise<void>;
}

/**
 * Opens a trained run.
 *
 * @param run its folder, or the name of one that comes with vqgen: `fruits-64`
 * @throws UserError for what is no run, one that is not trained, and options that are none
 */
export declare function loadRun(run: string, o?: LoadOptions): Promise<Run>;

/**
 * A JPEG, PNG, WebP, AVIF, GIF, TIFF or SVG file: upright, in sRGB, on white.
 *
 * @throws UserError naming the file when it is missing or no picture
 */
export declare function readImage(file: string): Promise<Image>;

/**
 * As PNG, or by the file's ending as JPEG or lossless WebP; a drawn image keeps its recipe in a PNG. Folders are made;
 * the file appears whole or not at all.
 *
 * @throws UserError for another ending, and what is no image
 */
export declare function writeImage(file: string, image: Image): Promise<void>;

/** A mistake of the caller's: one sentence that says what was expected, and what to do. */
export declare class UserError extends Error {}

/** Of the package. */
export declare const version: string;

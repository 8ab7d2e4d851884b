/** What a page and its worker say to each other. Images are [S, S, 3] in [−1, 1], codes [T], labels −1 without a class. */
import type { Passes } from '../../../stage2-transformer/passes.js';
import type { Description } from '../description.js';

export interface Picture {
  readonly image: Float32Array;
  /** Left out where only its pixels are known, and of a run without codes. */
  readonly codes?: Int32Array;
  /** Of the class that it was drawn of. */
  readonly label?: number;
}

/** How codes are drawn. */
export interface Settings {
  readonly temperature: number;
  readonly topK: number;
  readonly topP: number;
  readonly cfgScale: number;
  readonly passes?: Passes;
}

/** What a worker does, and what it answers. */
export interface Jobs {
  /** The pictures 0 … n − 1 of a seed, as `vqgen sample` draws them: `labels` in turn, or none. */
  draw: {
    ask: {
      readonly seed: number;
      readonly n: number;
      readonly labels: readonly number[];
      readonly settings: Settings;
    };
    answer: readonly Picture[];
  };
  /** Proposals for the cells that marked pixels [S, S] touch. */
  paint: {
    ask: {
      readonly picture: Picture;
      readonly pixels: Uint8Array;
      readonly label: number;
      readonly seed: number;
      readonly n: number;
      readonly settings: Settings;
    };
    answer: readonly Picture[];
  };
  /** The latent of picture 0 of a seed, numbers. */
  point: {
    ask: { readonly seed: number; readonly label: number; readonly temperature: number };
    answer: Float32Array;
  };
  /** The latent of a picture: numbers, or codes. */
  encode: { ask: { readonly image: Float32Array }; answer: Float32Array | Int32Array };
  /** The reverse. */
  decode: { ask: { readonly latent: Float32Array | Int32Array }; answer: Float32Array };
}

export type Kind = keyof Jobs;

export type Compute = 'webgpu' | 'wasm';

export type ToWorker =
  | { readonly does: 'start'; readonly base: string; readonly compute: Compute; readonly of: Description }
  | { readonly does: 'job'; readonly id: number; readonly kind: Kind; readonly ask: Jobs[Kind]['ask'] }
  | { readonly does: 'cancel' };

export type FromWorker =
  /** `said`: what it is at. `done` of `total` steps; of 0 nobody knows. */
  | { readonly tells: 'progress'; readonly said: string; readonly done: number; readonly total: number }
  | { readonly tells: 'answer'; readonly id: number; readonly answer: Jobs[Kind]['answer'] }
  | { readonly tells: 'error'; readonly id: number; readonly message: string; readonly cancelled: boolean };

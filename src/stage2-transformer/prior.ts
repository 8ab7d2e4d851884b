/**
 * The contracts of a prior: a model of the codes that images become, given what is known of an image. Each kind is a
 * folder beside this file, an entry in `index.ts` and a section of the config (`config/priors.ts`). How it orders,
 * embeds and masks codes and labels is its own affair.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { Rng } from '../base/rng.js';
import type { HostTensors } from '../base/tensor.js';
import type { PriorConfig } from '../config/schema.js';
import type { Device, GraphProgram, Precision, ProgramPrecision, Specs, Tensors } from '../engine/device.js';
import type { ParamSpec } from '../nn/params.js';
import type { Feed, Grid, Phase } from '../stage1-vqgan/latent.js';
import type { Canvas } from './canvas.js';
import type { Choice } from './choose.js';
import type { Growth } from './guidance.js';
import type { Passes } from './passes.js';

/** What is told of an image before its codes are drawn. */
export interface Condition {
  /** Names of the classes; none where nothing is told of them. */
  readonly classes: readonly string[];
  /** Grids that are given: their cells come first on a canvas and are never drawn. */
  readonly grids: readonly Grid[];
}

/** Shares of masked cells, in percent, at which a prior is measured that draws anywhere. */
export const maskedPercents = [10, 25, 50, 75, 100] as const;

/** Names of parameters and inputs are a prior's own; T cells of a canvas. */
export interface Prior {
  readonly condition: Condition;
  /** All grids of a canvas, those that are given first. */
  readonly grids: readonly Grid[];
  /** What it is made of, for people: `4 layers of width 256`. */
  readonly described: string;
  /**
   * Where it can draw: `in order`, each cell from those before it, so that known cells further on are not seen;
   * `anywhere`, each from all that are known.
   */
  readonly draws: 'in order' | 'anywhere';
  /** Numbers of the largest activation in training, for each cell: what memory a batch takes. */
  readonly widest: number;
  readonly learned: Record<string, ParamSpec>;
  /** Whether weight decay acts on a parameter. */
  decays(name: string): boolean;
  /** Those that it draws with. */
  readonly precisions: Readonly<Partial<Record<Precision, ProgramPrecision>>>;
  /** @param batch canvases of a run */
  inputs(phase: Phase, batch: number): Specs;
  /** @param key the step (1-based), or the number of the first image. @param batch without unknown cells */
  feed(phase: Phase, key: number, batch: Canvas): Feed;
  /**
   * What each cell costs it, [B, T]: −log of the share that it gave the code; 0 where it predicts nothing, as of
   * cells that are given. Where only some of the others are predicted, they weigh as much as all. In training it
   * may be what is minimised instead.
   */
  nats(p: Tensors, inputs: Tensors, phase: Phase): tf.Tensor;
  /**
   * Of a prior that draws anywhere, whose costs in a validation are the mean over all orders: what a masked cell costs
   * where so many percent are masked. The inputs of a validation.
   */
  readonly maskedBy?: (percent: number, key: number, batch: Canvas) => HostTensors;
  /** @param weights `learned`, by its names */
  open(
    device: Device,
    weights: HostTensors,
    o: Opening & { readonly precision?: Precision },
  ): Promise<Drawer>;
  /** Left out of a kind that no file can be. */
  readonly portable?: Portable;
}

export interface Opening {
  /** Canvases at a time. */
  readonly batch: number;
  /** Guidance at its strongest; 1, or where the prior knows no classes: none. */
  readonly cfgScale: number;
}

export interface Drawer {
  /**
   * A code for every unknown cell; those that are known stay as they are.
   *
   * @param known of the batch's size
   * @returns [B, T]
   */
  draw(known: Canvas, o: Drawing): Promise<Int32Array>;
  dispose(): Promise<void>;
}

export interface Drawing {
  readonly choice: Choice;
  /** How guidance grows from the first place or pass to the last; `constant` unless given. */
  readonly growth?: Growth;
  /** From this place on the likeliest code in place of a chosen one; none unless given. */
  readonly greedyFrom?: number;
  /** Of a prior that draws anywhere: how it goes about it. */
  readonly passes?: Passes;
  /** Of each canvas: what is drawn does not depend on those beside it. */
  readonly random: readonly Pick<Rng, 'uniform'>[];
  /** Called after each of T places, or of `passes.steps` passes. */
  readonly onPlace?: (place: number) => void;
  /** Of a prior that draws anywhere: called in each pass before it fills anything. */
  readonly onPass?: (pass: Seen) => void;
  readonly signal?: AbortSignal;
}

/** What a pass begins with. */
export interface Seen {
  /** [B, T], `unknown` where nothing is drawn yet. It changes afterwards. */
  readonly codes: Int32Array;
  /** What the network gives each code of a cell, by which the pass draws: temperature and guidance have acted. */
  probabilities(row: number, cell: number): Float32Array;
}

/** A prior as a file that any runtime computes. */
export interface Portable {
  program(weights: HostTensors): GraphProgram;
  /** What goes in and comes out. */
  readonly metadata: Record<string, string>;
  /**
   * How to ask the file for logits, as plain data (`fileDrawer`, and scripts beside it). Of grids with different
   * vocabularies K is the largest.
   */
  readonly asked: Stepwise | Whole | InPasses;
}

/**
 * For a place at a time: `ids` [B], the tokens before, and a cache `past` → `logits` [B, K] and `present`, the next
 * `past`.
 */
export interface Stepwise {
  readonly by: 'steps';
  /** Sizes of the transformer whose keys and values a cache [2·layers, B, heads, L, width/heads] holds. */
  readonly cache: { readonly layers: number; readonly heads: number; readonly width: number };
  /**
   * What stands before the first code: without a class, and of the first class, which those of the others follow
   * one by one.
   */
  readonly begins: { readonly without: number; readonly ofFirstClass: number };
}

/**
 * For all places at once: `codes` [B, T], any at places that are not drawn yet, and where it knows classes `labels`
 * [B], −1 without a class → `logits` [B, T, K].
 */
export interface Whole {
  readonly by: 'canvas';
}

/**
 * For all places at once, in any order: `codes` [B, T], −1 where unknown, and `labels` as of `Whole` → `logits` [B, T,
 * K] of each place by all known codes. A canvas is filled in `Passes`.
 */
export interface InPasses {
  readonly by: 'passes';
  /** How many cells stay unknown after a pass. */
  readonly schedule: PriorConfig['mask_schedule'];
}

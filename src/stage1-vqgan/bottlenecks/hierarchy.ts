/**
 * Codes on two or three grids, each half as large as the one below: VQ-VAE-2 (Razavi et al., arXiv 1906.00446, §3.1).
 * The top grid holds what the whole picture shares; every grid below is told what stands above it and adds what is
 * missing.
 *
 * Each level is a bottleneck of one grid, of any kind, under its grid's name: parameters, state and inputs `top.…`,
 * `bottom.…`.
 */

import * as tf from '@tensorflow/tfjs-core';
import { last, nth, pairs } from '../../base/lookup.js';
import type { Tensors } from '../../engine/device.js';
import { type Conv, conv, convSpecs, transposedConv, transposedConvSpecs } from '../../nn/conv.js';
import { over, specsOf, type TensorTree, treeOf, under } from '../../nn/params.js';
import {
  type Narrowing,
  narrowed,
  narrowingSpecs,
  type Widening,
  widened,
  wideningSpecs,
} from '../autoencoder/strided.js';
import type { Bottleneck, Feed, Grid, Passed } from '../latent.js';

/** A bottleneck of one grid, and what the grid is called. */
export interface Level {
  readonly name: string;
  readonly bottleneck: Bottleneck;
}

/** What a level has beside its bottleneck; F features, A numbers of all codes above. */
type Nets = {
  /**
   * The features of the level below, [B, 2h, 2w, F] → [B, h, w, F]; none at the bottom, whose features come from the
   * encoder.
   */
  encode?: Narrowing;
  /**
   * What stands above, [B, h/2, w/2, A] → [B, h, w, A], for what becomes codes and for the decoder; none at the top.
   */
  decode?: Widening;
  enlarge?: Conv;
  /** 1×1, what stands above and the features → what becomes codes. */
  project: Conv;
};

/** A level's numbers as the levels below and the decoder see them. @param z what becomes its codes */
type Visit = (level: Level, z: () => tf.Tensor, i: number) => tf.Tensor;

/**
 * Features go up: f at the bottom is what the encoder gives, f of a level encode(f of the one below). Codes come down:
 * those of a level are of project([decode(y), f]) with y from above, and [enlarge(y), q] goes on to the level below,
 * from the bottom to the decoder. Terms are sums over the levels (`commitment`), and those of each (`commitment_top`).
 *
 * @param levels the top first
 * @param o.features F. @param o.blocks residual blocks of encode and decode
 */
export function hierarchy(levels: readonly Level[], o: { features: number; blocks: number }): Bottleneck {
  const nets = levels.map((level, i) => netsOf(level, levels.slice(0, i), levels.length, o));
  /** What each level has, by the level's name. */
  const joined = <T>(each: readonly Record<string, T>[]): Record<string, T> =>
    Object.assign({}, ...pairs(levels, each).map(([{ name }, own]) => over(name, own)));
  const ofEach = <T>(f: (bottleneck: Bottleneck) => Record<string, T>): Record<string, T> =>
    joined(levels.map(({ bottleneck }) => f(bottleneck)));

  const descend = (p: Tensors, z: tf.Tensor | undefined, visit: Visit): tf.Tensor => {
    const trees = pairs(levels, nets).map(([{ name }, specs]) => treeOf(specs, p, name));
    const features = z ? featuresOf(trees, z) : [];
    const outputs: tf.Tensor[] = [];
    for (const [i, [level, { decode, project, enlarge }]] of pairs(levels, trees).entries()) {
      const above = outputs.at(-1);
      if (above && decode && enlarge) {
        const both = () => tf.concat([widened(decode, above), nth(features, i)], 3);
        const q = visit(level, () => conv(project, both()), i);
        outputs.push(tf.concat([transposedConv(enlarge, above), q], 3));
      } else outputs.push(visit(level, () => conv(project, nth(features, i)), i));
    }
    return last(outputs);
  };

  return {
    latent: { kind: 'codes', grids: levels.flatMap(gridsOf) },
    channels: { in: o.features, out: widthOf(levels) },
    takesFeatures: true,
    learned: joined(
      pairs(levels, nets).map(([{ bottleneck }, specs]) => ({ ...specsOf(specs), ...bottleneck.learned })),
    ),
    own: ofEach(({ own }) => own),
    state: ofEach(({ state }) => state),
    partial: ofEach(({ partial }) => partial),
    terms: [
      ...new Set(levels.flatMap(({ bottleneck }) => bottleneck.terms)),
      ...levels.flatMap(({ name, bottleneck }) => bottleneck.terms.map((term) => `${term}_${name}`)),
    ],
    settles: Math.max(...levels.map(({ bottleneck }) => bottleneck.settles)),
    watch() {
      const watches = levels.map(({ bottleneck }) => bottleneck.watch());
      return (step, values) => watches.flatMap((watch) => watch(step, values) ?? []).join(' ') || undefined;
    },

    inputs: (phase, batch) => ofEach((bottleneck) => bottleneck.inputs(phase, batch)),
    feed: (...key) => ({
      runs: runsTogether(
        levels.map(({ name, bottleneck }) => [name, bottleneck.feed(...key).runs ?? []] as const),
      ),
    }),

    begin(p, z, inputs) {
      const begun = { p: {}, inputs: {} };
      descend(p, z, ({ name, bottleneck }, z) => {
        const [own, io, at] = [under(name, p), inputsOf(name, inputs), z()];
        const level = bottleneck.begin?.(own, at, io) ?? { p: own, inputs: {} };
        Object.assign(begun.p, over(name, level.p));
        Object.assign(begun.inputs, over(name, level.inputs));
        return bottleneck.pass(level.p, at, { ...io, ...level.inputs }).output;
      });
      return begun;
    },
    pass(p, z, inputs) {
      const passed: Passed[] = [];
      const inner: tf.Tensor[] = [];
      const output = descend(p, z, ({ name, bottleneck }, z) => {
        const at = z();
        inner.push(at);
        const level = bottleneck.pass(under(name, p), at, inputsOf(name, inputs));
        passed.push(level);
        return level.output;
      });
      return {
        ...{ output, inner },
        codes: passed.flatMap(({ codes }) => codes),
        terms: termsOf(levels, passed),
        loss: sum(passed.map(({ loss }) => loss)),
      };
    },
    after(p, _, passed, state, inputs) {
      const { codes, inner = [] } = passed;
      const moved = pairs(levels, pairs(codes, inner)).map(([{ name, bottleneck }, [own, z]]) => {
        const kept = { p: under(name, p), state: {}, partial: {}, fresh: {} };
        const level = { ...passed, codes: [own] };
        const io = inputsOf(name, inputs);
        return bottleneck.after?.(kept.p, z, level, under(name, state), io) ?? kept;
      });
      return {
        p: joined(moved.map(({ p }) => p)),
        state: joined(moved.map(({ state }) => state)),
        partial: joined(moved.map(({ partial }) => partial)),
        fresh: joined(moved.map(({ fresh }) => fresh)),
      };
    },

    encode(p, z) {
      const codes: tf.Tensor[] = [];
      descend(p, z, ({ name, bottleneck }, z) => {
        const level = bottleneck.encode(under(name, p), z());
        codes.push(...level);
        return bottleneck.decode(under(name, p), level);
      });
      return codes;
    },
    decode: (p, codes) =>
      descend(p, undefined, ({ name, bottleneck }, _, i) =>
        bottleneck.decode(under(name, p), [nth(codes, i)]),
      ),
  };
}

/** Numbers at each position of all the levels together. */
const widthOf = (levels: readonly Level[]): number =>
  levels.reduce((width, { bottleneck }) => width + bottleneck.channels.out, 0);

/** @param higher the levels above it. @param count of all levels */
function netsOf(
  { bottleneck }: Level,
  higher: readonly Level[],
  count: number,
  { features, blocks }: { features: number; blocks: number },
): Nets {
  const above = widthOf(higher);
  const inside = Math.max(1, Math.floor(features / 2));
  return {
    ...(higher.length < count - 1 && {
      encode: narrowingSpecs(features, [inside], { outputs: features, blocks }),
    }),
    ...(higher.length > 0 && {
      decode: wideningSpecs(above, [above], { width: features, blocks }),
      enlarge: transposedConvSpecs(4, above, above),
    }),
    project: convSpecs(1, above + features, bottleneck.channels.in),
  };
}

/** Each level's features, the top's first. @param z the bottom's */
function featuresOf(trees: readonly TensorTree<Nets>[], z: tf.Tensor): tf.Tensor[] {
  const found = [z];
  let below = z;
  for (const { encode } of trees.toReversed()) {
    if (!encode) continue;
    below = narrowed(encode, below);
    found.unshift(below);
  }
  return found;
}

function gridsOf({ name, bottleneck: { latent } }: Level): readonly Grid[] {
  if (latent.kind !== 'codes') throw new Error(`internal: the level ${name} has no codes`);
  return latent.grids;
}

/** A level's inputs, beside those of the whole step. */
const inputsOf = (name: string, inputs: Tensors): Tensors => ({ ...inputs, ...under(name, inputs) });

/** Inputs of a step that a run may have otherwise. */
const ofStep = ['step', 'first', 'last'];

/** The runs of all levels at once. */
function runsTogether(runs: readonly (readonly [string, NonNullable<Feed['runs']>])[]): Feed['runs'] {
  const times = Math.max(...runs.map(([, list]) => list.length));
  if (times === 0) return undefined;
  return Array.from({ length: times }, (_, i) => {
    const named = runs.flatMap(([name, list]) =>
      Object.entries(list[i % list.length] ?? {}).map(
        ([key, value]) => [ofStep.includes(key) ? key : `${name}.${key}`, value] as const,
      ),
    );
    return Object.fromEntries(named);
  });
}

function termsOf(levels: readonly Level[], passed: readonly Passed[]): Tensors {
  const names = new Set(passed.flatMap(({ terms }) => Object.keys(terms)));
  const sums = [...names].map((name) => [name, sum(passed.flatMap(({ terms }) => terms[name] ?? []))]);
  const each = pairs(levels, passed).flatMap(([level, { terms }]) =>
    Object.entries(terms).map(([name, value]) => [`${name}_${level.name}`, value] as const),
  );
  return Object.fromEntries([...sums, ...each]);
}

const sum = (scalars: readonly tf.Tensor[]): tf.Tensor => scalars.reduce((a, b) => tf.add(a, b));

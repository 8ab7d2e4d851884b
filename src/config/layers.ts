/**
 * Values from wherever to a checked config. Each layer replaces what stands in the one before it. A mistake is told in
 * one sentence that names the key and where it was written.
 */
import path from 'node:path';
import { expected, type UserError } from '../base/errors.js';
import { parseJson } from '../base/json.js';
import { must } from '../base/lookup.js';
import { nearest } from '../base/nearest.js';
import { plainLevels, product } from './bottlenecks.js';
import { checkTogether } from './checks.js';
import { ownTokenizer } from './conditions.js';
import { configKeys, describeKey } from './keys.js';
import { ofAnotherKind, sizesOf, withoutForeign } from './priors.js';
import { type Config, configSchema } from './schema.js';

export interface Section {
  [key: string]: unknown;
}

/** Values and where the user wrote them. */
export interface Layer {
  values: Section;
  where: string;
}

/**
 * A complete or partial config from elsewhere: a run's `config.json`, a test.
 *
 * @param where what to call it in errors
 * @throws UserError
 */
export function parseConfig(raw: unknown, where: string): Config {
  return resolve([{ values: asSection(raw, where), where }]);
}

/**
 * What an earlier vqgen may have saved: keys that it did not know have the value that it went by, and keys of other
 * kinds of prior, whose defaults may have changed, are left out.
 *
 * @throws UserError
 */
export function parseSaved(raw: unknown, where: string): Config {
  const saved = asSection(raw, where);
  const { stage1 = {}, prior = {}, sample = {} } = saved;
  for (const [name, section] of Object.entries({ stage1, prior, sample }))
    asSection(section, `${name} of ${where}`);
  const known: Section = { mlp: 'gelu', ...(prior as Section) };
  const { cfg_schedule, ...drawing } = sample as Section;
  return parseConfig(
    {
      ...saved,
      stage1: { norm_groups: 32, ...(stage1 as Section) },
      prior: withoutForeign(known.kind ?? 'gpt', known),
      sample: { ...(known.kind === 'maskgit' && { cfg_growth: cfg_schedule }), ...drawing },
    },
    where,
  );
}

/** The same of JSON that a file of weights holds. @throws UserError */
export function parseSavedText(json: string, where: string): Config {
  let saved: unknown;
  try {
    saved = parseJson(json);
  } catch (cause) {
    throw expected('the config that vqgen saved', where, 'something else', 'Export it again.', cause);
  }
  return parseSaved(saved, `the config in ${where}`);
}

/** The lowest first. */
export type Layers = readonly [Layer, ...Layer[]];

/** @throws UserError */
export function resolve(layers: Layers): Config {
  const [{ values: base }, ...lines] = layers;
  const given = lines.map(({ values }) => values).reduce(merge, {});
  const merged = withLevels(withSizes(merge(asOtherKind(base, given), given)));
  // To check one config, compiling the check would take longer.
  const result = configSchema.safeParse(merged, { jitless: true });
  if (!result.success) throw explain(must(result.error.issues[0], 'issue'), merged, layers);
  checkTogether(result.data);
  return withAbsolutePaths(result.data);
}

/**
 * `stage1.codes: null` with fsq: as many as the levels make. A hierarchy without `levels` of its own: two plain ones.
 */
function withLevels(values: Section): Section {
  const stage1 = values.stage1 as Section | undefined;
  const bottleneck = stage1?.bottleneck as Section | undefined;
  const { levels: ofFsq } = configSchema.parse({}).stage1.bottleneck;
  if (
    bottleneck?.kind === 'hierarchy' &&
    JSON.stringify(bottleneck.levels ?? ofFsq) === JSON.stringify(ofFsq)
  )
    return { ...values, stage1: { ...stage1, bottleneck: { ...bottleneck, levels: plainLevels } } };
  if (stage1?.codes !== null || bottleneck?.kind !== 'fsq') return values;
  const levels = bottleneck.levels ?? ofFsq;
  const given = Array.isArray(levels) && levels.every((n) => typeof n === 'number');
  return given ? { ...values, stage1: { ...stage1, codes: product(levels) } } : values;
}

const priorIn = ({ prior }: Section): Section => (isSection(prior) ? prior : {});

/**
 * What a line makes another kind of prior begins with that kind's sizes and keys, not with those of the one before.
 */
function asOtherKind(base: Section, given: Section): Section {
  const { kind } = priorIn(given);
  const before = priorIn(base);
  if (kind === undefined || kind === (before.kind ?? 'gpt')) return base;
  return { ...base, prior: ofAnotherKind(kind, before) };
}

/** The defaults of a kind of prior under what is given. */
function withSizes(values: Section): Section {
  const sizes = sizesOf(priorIn(values).kind);
  return sizes ? { ...values, prior: { ...sizes, ...priorIn(values) } } : values;
}

/** @throws UserError */
export function asSection(raw: unknown, where: string): Section {
  if (!isSection(raw))
    throw expected('a mapping of keys to values', where, raw, 'For example data: { size: 32 }.');
  return raw;
}

function isSection(value: unknown): value is Section {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function merge(below: Section, above: Section): Section {
  const merged = { ...below };
  for (const [key, value] of Object.entries(above)) {
    const old = below[key];
    merged[key] = isSection(old) && isSection(value) ? merge(old, value) : value;
  }
  return merged;
}

/** @throws UserError for the first key that the schema does not have, with the nearest that it has */
export function checkKeys(values: Section, where: string, above: readonly string[] = []): void {
  for (const [key, value] of Object.entries(values)) {
    const here = [...above, key];
    if (describeKey(here) === undefined) throw unknownKey(here.join('.'), where);
    if (isSection(value)) checkKeys(value, where, here);
  }
}

function unknownKey(key: string, where: string) {
  const last = key.split('.').at(-1);
  const sameName = configKeys.find((known) => known.split('.').at(-1) === last);
  const near = nearest(key, configKeys) ?? sameName;
  return expected(
    'a known config key',
    where,
    key,
    near ? `Did you mean ${near}?` : 'The file configs/defaults.yaml explains every key.',
  );
}

interface Issue {
  code: string;
  path: PropertyKey[];
  keys?: string[];
  /** Of `invalid_union`: what is wrong with each thing that could stand there, paths from there. */
  errors?: Issue[][];
}

function explain(issue: Issue, merged: Section, layers: Layers): UserError {
  const given = at(merged, issue.path);
  if (issue.errors && Array.isArray(given) && given.some(isSection) && !given.every(isSection)) {
    const either = 'For example [8, 6, 5], or [{ kind: ema }, { kind: ema }].';
    return expected('only numbers or only sections of keys', placeOf(issue.path), given, either);
  }
  const [deepest] = (issue.errors ?? []).flat().sort((a, b) => b.path.length - a.path.length);
  if (deepest) return explain({ ...deepest, path: [...issue.path, ...deepest.path] }, merged, layers);
  const { path } = issue;
  const source = layers.findLast(({ values }) => at(values, path) !== undefined)?.where ?? layers[0].where;
  if (issue.code === 'unrecognized_keys') return unknownKey([...path, issue.keys?.[0]].join('.'), source);
  const value = at(merged, path) ?? null;
  return expected(must(describeKey(path, value), 'words'), placeOf(path), value, `It comes from ${source}.`);
}

/** `stage1.ch`, `each of stage1.ch_mult`, `kind in each of stage1.bottleneck.levels`. */
function placeOf(path: readonly PropertyKey[]): string {
  const list = path.findIndex((key) => typeof key === 'number');
  if (list < 0) return path.join('.');
  const inside = path.slice(list).filter((key) => typeof key === 'string');
  return `${inside.length > 0 ? `${inside.join('.')} in ` : ''}each of ${path.slice(0, list).join('.')}`;
}

function at(values: unknown, keys: readonly PropertyKey[]): unknown {
  return keys.reduce<unknown>((node, key) => (node as Section | undefined)?.[key as string], values);
}

/** What is saved in a run holds from every working directory. */
const withAbsolutePaths = (config: Config): Config => mapPaths(config, (file) => path.resolve(file));

/** The config with every path in it changed. */
export function mapPaths(config: Config, change: (file: string) => string): Config {
  const changed = (file: string | null): string | null => (file === null ? null : change(file));
  const { data, stage1, prior } = config;
  const { perceptual } = stage1;
  const { maps, val_maps, tokenizer } = prior.condition;
  const condition = {
    ...prior.condition,
    ...{ maps: changed(maps), val_maps: changed(val_maps) },
    tokenizer: tokenizer === ownTokenizer ? tokenizer : changed(tokenizer),
  };
  return {
    ...config,
    data: { ...data, dir: changed(data.dir), val_dir: changed(data.val_dir) },
    stage1: { ...stage1, perceptual: { ...perceptual, weights: changed(perceptual.weights) } },
    prior: { ...prior, condition },
  };
}

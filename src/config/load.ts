/**
 * From a file and a command line to a checked config. What is written later stands above:
 * schema defaults < the file < `--set a.b=v` < explicit flags.
 */
import fs from 'node:fs';
import path from 'node:path';
import { expected } from '../base/errors.js';
import { nearest } from '../base/nearest.js';
import { readWhole } from '../base/regular-file.js';
import { inPackage } from '../base/root.js';
import { configKeys } from './keys.js';
import { asSection, checkKeys, type Layer, resolve, type Section } from './layers.js';
import type { Config } from './schema.js';
import { longestYaml, parseYaml } from './yaml.js';

export const defaultConfig = 'drawn-32';

const shipped = inPackage('configs');

/**
 * @param o.config a name of the package's `configs/`, or a file (it has a folder or an ending); default `drawn-32`
 * @param o.set `key=value` with dotted keys and YAML values
 * @param o.overrides dotted key → value of an explicit flag
 * @throws UserError
 */
export function loadConfig(
  o: { config?: string; set?: readonly string[]; overrides?: Record<string, unknown> } = {},
): Config {
  return resolve([fileLayer(o.config ?? defaultConfig), ...lineLayers(o)]);
}

/**
 * A run's config with keys of some sections replaced.
 *
 * @param o.sections the sections that may change now
 * @throws UserError
 */
export function changeConfig(
  config: Config,
  o: { set?: readonly string[]; overrides?: Record<string, unknown>; sections: readonly string[] },
): Config {
  for (const item of o.set ?? []) {
    const [key = ''] = item.split('=');
    const [section = ''] = key.split('.');
    if (configKeys.includes(key) && !o.sections.includes(section)) {
      throw expected(
        `a key of the section ${o.sections.join(' or ')}`,
        '--set',
        item,
        'The other sections were settled by train-stage1: to change them, train a new run with --run.',
      );
    }
  }
  return resolve([{ values: config, where: "the run's config.json" }, ...lineLayers(o)]);
}

function fileLayer(name: string): Layer {
  const bare = !/[\\/]|\.(ya?ml|json)$/i.test(name);
  const file = bare ? path.join(shipped, `${name}.yaml`) : path.resolve(name);
  const where = bare ? `the config ${name}` : name;
  const text = readWhole(file, longestYaml, (received, cause) => {
    if (!bare)
      return expected('a YAML file', '--config', `${name}, ${received}`, 'Give the path of one.', cause);
    const names = shippedConfigs();
    const near = nearest(name, names);
    return expected(
      `a YAML file or one of ${names.join(', ')}`,
      '--config',
      name,
      near ? `Did you mean ${near}?` : 'A file is named by a path with its ending, such as ./my.yaml.',
      cause,
    );
  }).toString();
  const values = asSection(yamlOf(text, where) ?? {}, where);
  checkKeys(values, where);
  return { values, where };
}

export function shippedConfigs(): string[] {
  return fs
    .readdirSync(shipped)
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => path.basename(file, '.yaml'))
    .sort();
}

function lineLayers(o: { set?: readonly string[]; overrides?: Record<string, unknown> }): Layer[] {
  const set = (o.set ?? []).map((item): Layer => {
    const [, key, text] = /^([^=\s]+)=([\s\S]*)$/.exec(item) ?? [];
    if (key === undefined || text === undefined) {
      throw expected('key=value', '--set', item, 'For example --set stage1.ch=64.');
    }
    const layer = { values: nest(key, yamlOf(text, `--set ${item}`)), where: `--set ${item}` };
    checkKeys(layer.values, '--set');
    return layer;
  });
  const flags = Object.entries(o.overrides ?? {}).filter(([, value]) => value !== undefined);
  return [...set, ...flags.map(([key, value]) => ({ values: nest(key, value), where: 'the command line' }))];
}

function nest(dotted: string, value: unknown): Section {
  return dotted
    .split('.')
    .reduceRight<unknown>((inner, key) => Object.fromEntries([[key, inner]]), value) as Section;
}

function yamlOf(text: string, where: string): unknown {
  try {
    return parseYaml(text);
  } catch (cause) {
    const [line = ''] = (cause as Error).message.split('\n');
    const reason = line.replace(/[:.]$/, '');
    throw expected('YAML', where, `text that is not: ${reason}`, 'Correct it there.', cause);
  }
}

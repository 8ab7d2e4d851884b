/** Options of the library, as callers without types may give them: what each takes, and what none takes. */
import { expected } from '../base/errors.js';
import { nearest } from '../base/nearest.js';

/** What an option takes, in words, and whether a value is that. */
export type Rule = readonly [what: string, is: (value: unknown) => boolean];

const isNumber = (value: unknown): value is number => typeof value === 'number' && !Number.isNaN(value);
const isText = (value: unknown): boolean => typeof value === 'string';
const isFunction = (value: unknown): boolean => typeof value === 'function';

export const number: Rule = ['a number', isNumber];
export const whole: Rule = [
  'a whole number of at least 0',
  (v) => Number.isSafeInteger(v) && (v as number) >= 0,
];
export const count: Rule = ['a whole number above 0', (v) => Number.isSafeInteger(v) && (v as number) > 0];
export const text: Rule = ['text', isText];
export const texts: Rule = [
  'a list of names',
  (v) => Array.isArray(v) && v.length > 0 && v.every((item) => isText(item)),
];
export const callback: Rule = ['a function', isFunction];
export const signal: Rule = ['an AbortSignal', (v) => isFunction(Object(v).throwIfAborted)];
/** Checked where it is read. */
export const image: Rule = ['an image', (v) => v !== null];

export const among = (...names: readonly string[]): Rule => [
  `one of ${names.join(', ')}`,
  (v) => names.some((name) => name === v),
];

/** An object of whole numbers, or those of `positive` above 0. */
export const wholes = (names: readonly string[], positive: readonly string[] = names): Rule => [
  `{ ${names.join(', ')} }, whole numbers`,
  (v) => {
    const given = Object(v) as Record<string, unknown>;
    return (
      names.every((name) => Number.isSafeInteger(given[name])) &&
      positive.every((name) => Number(given[name]) > 0)
    );
  },
];

/** Of every call. */
export const ofCalls = { signal, onProgress: callback };

/** @param where the function they were given to. @throws UserError for an option that it has not, or does not take */
export function checkOptions(where: string, given: object, rules: Readonly<Record<string, Rule>>): void {
  for (const [name, value] of Object.entries(given)) {
    const rule = rules[name];
    if (!rule) {
      const near = nearest(name, Object.keys(rules));
      const next = near ? `Did you mean ${near}?` : `It has ${Object.keys(rules).join(', ')}.`;
      throw expected('a known option', where, name, next);
    }
    const [what, is] = rule;
    if (value !== undefined && !is(value)) throw expected(what, `${where}, ${name}`, shown(value));
  }
}

const shown = (value: unknown): unknown => {
  if (typeof value === 'function' || typeof value === 'bigint' || typeof value === 'symbol')
    return typeof value;
  return typeof value === 'number' ? `${value}` : value;
};

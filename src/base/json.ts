/** JSON that others wrote: how much it holds is counted before any of it is made. */

/** Keys and values at most, and how deep they may lie in each other. */
const mostParts = 1_000_000;
const deepest = 64;

const [quote, backslash, comma, colon] = [0x22, 0x5c, 0x2c, 0x3a];
const [openers, closers] = [
  [0x5b, 0x7b],
  [0x5d, 0x7d],
];

/**
 * @param o.parts keys and values that it may have; a million unless given
 * @throws SyntaxError for what is no JSON, TypeError for no UTF-8, RangeError where it holds too much, or a key is twice in
 * its outermost object; the message of that says what it has
 */
export function parseJson(json: Uint8Array | string, { parts: most = mostParts } = {}): unknown {
  const bytes = typeof json === 'string' ? Buffer.from(json) : json;
  const keys = countKeys(bytes, most);
  const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  if (isRecord(value) && Object.keys(value).length < keys) throw new RangeError('a key that is there twice');
  return value;
}

/** Those of the outermost object. @throws RangeError for too many parts, or too deep in each other */
function countKeys(bytes: Uint8Array, most: number): number {
  let [parts, keys, depth] = [0, 0, 0];
  for (let at = 0; at < bytes.length; at++) {
    if (parts > most) throw new RangeError(`more than ${most} keys and values`);
    const byte = bytes[at]!;
    if (byte === quote) {
      for (at++; at < bytes.length && bytes[at] !== quote; at++) if (bytes[at] === backslash) at++;
    } else if (byte === comma) parts++;
    else if (byte === colon) {
      parts++;
      if (depth === 1) keys++;
    } else if (openers.includes(byte)) {
      parts++;
      if (++depth > deepest) throw new RangeError(`more than ${deepest} lists and objects in each other`);
    } else if (closers.includes(byte)) depth--;
  }
  return keys;
}

export const isRecord = (v: unknown): v is Record<string, unknown> =>
  typeof v === 'object' && v !== null && !Array.isArray(v);

export const areTexts = (v: unknown): v is string[] =>
  Array.isArray(v) && v.every((text) => typeof text === 'string');

/** The texts that a list holds; none where there is no list. @throws Error for anything else */
export function parseTexts(json = '[]'): string[] {
  const value = parseJson(json);
  if (!areTexts(value)) throw new TypeError('no list of texts');
  return value;
}

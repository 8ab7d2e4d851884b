/** Seeded damage to JSON and bytes: what a disk, an editor or a stranger makes of a file. */
import { type Rng, stream } from '../../src/base/rng.js';

const strange: readonly unknown[] = [
  ...[null, true, '', 'x', '__proto__', 'constructor', [], {}, [[]], { toString: 1 }, '../../x', '\u0000'],
  ...[0, -1, 0.5, 1e308, -1e308, 2 ** 53, 4294967296, '1e400', { length: -1 }],
];

type Json = unknown;

/** A place in a tree of JSON: all above it first. */
function places(json: Json, above: readonly (string | number)[] = []): (readonly (string | number)[])[] {
  if (typeof json !== 'object' || json === null) return [above];
  return [above, ...Object.entries(json).flatMap(([key, value]) => places(value, [...above, key]))];
}

function changed(
  json: Json,
  [key, ...below]: readonly (string | number)[],
  change: (old: Json) => Json,
): Json {
  if (key === undefined) return change(json);
  if (Array.isArray(json)) return json.map((v, i) => (`${i}` === `${key}` ? changed(v, below, change) : v));
  return Object.fromEntries(
    Object.entries(json as object).flatMap(([name, value]) => {
      if (name !== `${key}`) return [[name, value]];
      const now = changed(value, below, change);
      return now === undefined ? [] : [[name, now]];
    }),
  );
}

const pick = <T>(list: readonly T[], rng: Rng): T => list[rng.below(list.length)]!;

function mutatedTree(json: Json, rng: Rng): Json {
  const all = places(json);
  const place = pick(all, rng);
  const other = pick(all, rng);
  const at = (path: readonly (string | number)[]) =>
    path.reduce<Json>((node, key) => (node as Record<string, Json>)[key], json);
  return changed(json, place, (old) => {
    switch (rng.below(5)) {
      case 0:
        return undefined;
      case 1:
        return typeof old === 'number' ? -old * 10 ** rng.below(300) : pick(strange, rng);
      case 2:
        return at(other);
      case 3:
        return typeof old === 'object' && old !== null ? { ...old, [`k${rng.below(9)}`]: 1 } : [old];
      default:
        return pick(strange, rng);
    }
  });
}

/** One of `n` mutations of a text that is JSON: of its tree, or of its characters. */
export function mutatedJson(text: string, seed: number): string {
  const rng = stream(seed, 'mutate');
  if (rng.below(3) > 0) {
    const tree = mutatedTree(JSON.parse(text), rng);
    return tree === undefined ? '' : JSON.stringify(tree).replaceAll('"1e400"', '1e400');
  }
  return Buffer.from(mutatedBytes(Buffer.from(text), seed)).toString('utf8');
}

/** A flipped bit, a cut, zeros as a power cut leaves them, or a part twice. */
export function mutatedBytes(bytes: Uint8Array, seed: number): Uint8Array {
  const rng = stream(seed, 'bytes');
  const copy = Uint8Array.from(bytes);
  const at = rng.below(bytes.length);
  switch (rng.below(4)) {
    case 0:
      return copy.subarray(0, at);
    case 1:
      return copy.fill(0, at, at + 1 + rng.below(64));
    case 2:
      return Buffer.concat([copy.subarray(0, at), copy.subarray(at >> 1)]);
    default:
      copy[at]! ^= 1 << rng.below(8);
      return copy;
  }
}

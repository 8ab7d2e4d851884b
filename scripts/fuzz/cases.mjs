// Bytes to try a parser with: valid files changed in a few places, JSON changed in its values, a parser's own words in
// any order, and noise. All of it follows from fast-check's seed.
import fc from 'fast-check';

/** Not nearer to 0 than elsewhere, as fast-check's numbers are. */
const share = fc.noBias(fc.nat(2 ** 30 - 1)).map((n) => n / 2 ** 30);

/** Anywhere, or a little behind one of the words. */
const place = fc.record({ at: share, word: fc.option(fc.nat(), { freq: 1 }), behind: fc.nat(48) });

const wholes = [0, 1, 2, 7, 255, 256, 65535, 65536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];

/** What stands in place of a value of JSON, or of a number in a text. */
const hostile = fc.oneof(
  fc.constantFrom(null, true, false, '', [], {}, -1, 0, 0.5, 1e308, -1e308, 2 ** 31, 2 ** 53, 2 ** 64),
  fc.constantFrom(
    'NaN',
    '-1',
    '1e999',
    '0x10',
    '__proto__',
    'constructor',
    '../../x',
    '\u0000',
    '\u001b[2J',
    '💥',
  ),
  fc.constantFrom(['x'], [[]], [null], { a: 1 }, { length: 1e9 }, { toString: 1 }, { __proto__: null }),
  fc.array(fc.integer(), { maxLength: 20 }),
  fc.string({ maxLength: 300 }),
  fc.jsonValue({ maxDepth: 3 }),
);

const change = (words) =>
  fc.oneof(
    fc.record({ kind: fc.constant('bit'), at: place, bit: fc.nat(7) }),
    fc.record({ kind: fc.constant('byte'), at: place, byte: fc.constantFrom(0, 1, 0x7f, 0x80, 0xff) }),
    fc.record({
      kind: fc.constant('whole'),
      at: place,
      whole: fc.constantFrom(...wholes),
      width: fc.constantFrom(1, 2, 4, 8),
    }),
    fc.record({
      kind: fc.constant('insert'),
      at: place,
      bytes: fc.oneof(fc.constantFrom(...words), fc.uint8Array({ maxLength: 8 })),
    }),
    fc.record({ kind: fc.constant('over'), at: place, bytes: fc.constantFrom(...words) }),
    fc.record({ kind: fc.constant('cut'), at: place, length: fc.nat(40) }),
    fc.record({
      kind: fc.constant('twice'),
      at: place,
      length: fc.nat(400),
      times: fc.integer({ min: 1, max: 200 }),
    }),
    fc.record({ kind: fc.constant('end'), at: place }),
    fc.record({ kind: fc.constant('mix'), at: place, from: share, length: fc.nat(200), seed: fc.nat() }),
  );

const longest = 1 << 18;

function changed(bytes, c, { seeds, words }) {
  const anywhere = Math.floor(c.at.at * (bytes.length + 1));
  const word = c.at.word === null ? -1 : bytes.indexOf(words[c.at.word % words.length], anywhere);
  const at = word < 0 ? anywhere : Math.min(bytes.length, word + c.at.behind);
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  const copy = Buffer.from(bytes);
  switch (c.kind) {
    case 'bit':
      if (at < copy.length) copy[at] ^= 1 << c.bit;
      return copy;
    case 'byte':
      if (at < copy.length) copy[at] = c.byte;
      return copy;
    case 'whole': {
      const whole = Buffer.alloc(8);
      whole.writeBigUInt64LE(BigInt(c.whole));
      whole.copy(copy, at, 0, c.width);
      return copy;
    }
    case 'insert':
      return Buffer.concat([before, c.bytes, after]);
    case 'over':
      Buffer.from(c.bytes).copy(copy, at);
      return copy;
    case 'cut':
      return Buffer.concat([before, after.subarray(c.length)]);
    case 'twice':
      return Buffer.concat([before, ...Array(c.times).fill(after.subarray(0, c.length)), after]);
    case 'mix': {
      const other = seeds[c.seed % seeds.length];
      const from = Math.floor(c.from * other.length);
      return Buffer.concat([before, other.subarray(from, from + c.length), after]);
    }
    default:
      return before;
  }
}

const mutated = (seeds, words) =>
  fc
    .tuple(
      fc.nat(seeds.length - 1),
      fc.oneof(
        change(words).map((only) => [only]),
        fc.array(change(words), { minLength: 1, maxLength: 6 }),
      ),
    )
    .map(([seed, changes]) =>
      changes.reduce((bytes, c) => changed(bytes, c, { seeds, words }).subarray(0, longest), seeds[seed]),
    );

/** Every place in a value of JSON: how to put another value there, or a key beside it. */
function placesIn(root) {
  const places = [];
  const visit = (node) => {
    if (typeof node !== 'object' || node === null) return;
    for (const key of Object.keys(node)) {
      places.push({ node, key });
      visit(node[key]);
    }
  };
  visit(root);
  return places;
}

/** A value of the same type. */
function near(value, from) {
  if (typeof value === 'number') return from < 0.4 ? value + 1 : from < 0.8 ? value - 1 : 2 * value;
  if (typeof value === 'string') return from < 0.5 ? `${value}x` : value.slice(1);
  if (typeof value === 'boolean') return !value;
  if (!Array.isArray(value)) return value;
  return from < 0.5 ? value.slice(1) : [...value, ...value];
}

const changedJson = (seeds) =>
  fc
    .tuple(
      fc.nat(seeds.length - 1),
      fc.array(
        fc.tuple(
          share,
          share,
          fc.constantFrom('set', 'set', 'remove', 'add', 'copy', 'near', 'near'),
          hostile,
        ),
        {
          minLength: 1,
          maxLength: 3,
        },
      ),
    )
    .map(([seed, changes]) => {
      const root = { root: JSON.parse(seeds[seed]) };
      for (const [at, from, what, constant] of changes) {
        const value = structuredClone(constant); // which a later change may change
        const places = placesIn(root);
        const { node, key } = places[Math.floor(at * places.length)] ?? {};
        if (node === undefined) continue;
        const other = places[Math.floor(from * places.length)];
        if (what === 'remove') delete node[key];
        else if (what === 'copy') node[key] = structuredClone(other.node[other.key]);
        else if (what === 'near') node[key] = near(node[key], from);
        else if (what === 'add' && !Array.isArray(node)) node[JSON.stringify(value).slice(0, 20)] = value;
        else node[key] = value;
      }
      return Buffer.from(JSON.stringify(root.root) ?? '');
    });

/**
 * @param o.seeds valid files. @param o.words what the parser knows, in bytes. @param o.json valid files that are JSON, or true
 * where all are
 * @param o.wrap makes a file of bytes: adds a length, a checksum, an archive around them
 * @returns an arbitrary of files
 */
export function casesFor({ seeds, words, json = [], wrap = (bytes) => bytes }) {
  const known = words.map((word) => Buffer.from(word, 'latin1'));
  const trees = json === true ? seeds : json;
  const weighted = [
    { weight: 5, arbitrary: mutated(seeds, known) },
    {
      weight: 2,
      arbitrary: fc.array(fc.constantFrom(...known), { maxLength: 200 }).map((all) => Buffer.concat(all)),
    },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) },
    ...(trees.length > 0 ? [{ weight: 12, arbitrary: changedJson(trees) }] : []),
  ];
  return fc.oneof(...weighted).map(wrap);
}

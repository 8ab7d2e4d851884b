import { parseYaml } from '../../src/config/yaml.js';

test('what configs are made of', () => {
  const text = 'a: &b { c: [1, 2.5], d: yes, e: ~ }\nf: *b\ng: "{? *x"\nh: |\n  ? {{\n';
  const b = { c: [1, 2.5], d: 'yes', e: null };
  expect(parseYaml(text)).toEqual({ a: b, f: b, g: '{? *x', h: '? {{\n' });
  expect(parseYaml('{"a": [true, -1e3], "b": {}}')).toEqual({ a: [true, -1000], b: {} });
  expect(parseYaml('')).toBeNull();
});

const laughs = Array.from({ length: 9 }, (_, i) =>
  i === 0
    ? 'a0: &a0 [1, 1]'
    : `a${i}: &a${i} [${Array(9)
        .fill(`*a${i - 1}`)
        .join(', ')}]`,
).join('\n');

test.each([
  ['a section that holds itself', 'a: &a { b: *a }', 'holds itself'],
  ['a list that holds itself', '&a [1, *a]', 'holds itself'],
  ['laughter', laughs, 'Excessive alias count'],
  [
    'aliases of many',
    Array.from({ length: 200 }, (_, i) => `- &a${i} 1\n- *a${i}`).join('\n'),
    '100 aliases',
  ],
  ['code', 'a: !!js/function "() => 1"', 'Unresolved tag'],
  ['tags of Python', 'a: !!python/tuple [1]', 'Unresolved tag'],
  ['binary', 'a: !!binary aGk=', 'Unresolved tag'],
  ['a newer schema', '%YAML 1.1\n---\na: !!set { b }', 'Unresolved tag'],
  ['a key twice', 'a: 1\na: 2', 'keys must be unique'],
  ['a prototype', 'a: { __proto__: { b: 1 } }', '__proto__ is no key'],
  ['many braces', '{'.repeat(2000), '24 brackets'],
  ['many brackets', '['.repeat(6e4), '24 brackets'],
  ['keys in keys', '? '.repeat(2000), 'cannot be a key'],
  ['many keys', Array.from({ length: 5000 }, (_, i) => `k${i}: 1`).join('\n'), '10000 words'],
  ['lists in lists', '- '.repeat(3e4), '10000 words'],
  ['JSON after JSON', '{"a":{"b":[1,2]}}'.repeat(2e3), '10000 words'],
  ['less of that', '{"a":{"b":[1,2]}}'.repeat(500), 'Unexpected'],
  ['a megabyte', 'x'.repeat(1e6), '65536 characters'],
  ['two documents', 'a: 1\n---\nb: 1', 'multiple documents'],
])('%s is refused', (_, text, message) => {
  const began = process.cpuUsage();
  expect(() => parseYaml(text)).toThrow(message);
  expect(process.cpuUsage(began).user).toBeLessThan(20e6);
});

test('merges are not made', () => {
  expect(parseYaml('a: &a { b: 1 }\nc:\n  <<: *a')).toEqual({ a: { b: 1 }, c: { '<<': { b: 1 } } });
});

import { parseJson } from '../../src/base/json.js';

test('what JSON.parse gives', () => {
  for (const json of ['{"a":[1,"}{[,:\\"",null],"b":{"a":1}}', '[]', '"a"', '12', ' {"é€":"\\u0000"} '])
    expect(parseJson(json)).toEqual(JSON.parse(json));
});

test.each([
  ['{"a":1,"a":2}', 'a key that is there twice'],
  [`[${'[],'.repeat(1e6)}1]`, 'more than 1000000 keys and values'],
  ['['.repeat(1e6), 'more than 64 lists and objects in each other'],
])('refused: %.20s', (json, message) => {
  expect(() => parseJson(json)).toThrow(message);
});

test('no JSON, no UTF-8', () => {
  for (const json of ['', '{', '{"a":1}}', 'NaN', '"\\']) expect(() => parseJson(json)).toThrow();
  expect(() => parseJson(Uint8Array.of(0x22, 0xff, 0x22))).toThrow();
});

test('a key __proto__ is a key', () => {
  expect(Object.keys(parseJson('{"__proto__":{"a":1}}') as object)).toEqual(['__proto__']);
});

import { UserError } from '../../src/base/errors.js';
import { parseState, type SavedState, stateText } from '../../src/checkpoint/state.js';
import { mutatedJson } from '../support/mutate.js';

const state: SavedState = {
  step: 500,
  seconds: 12.5,
  validated: 400,
  best: { step: 400, value: 21.5 },
  stale: 0,
  metrics: {
    sums: { loss: { sum: 1.25, count: 10 } },
    steps: 10,
    seconds: 0.5,
    usage: [{ name: 'codes', counts: [1, 0, 3] }],
  },
  guard: {
    ...{ lr: 1e-4, factor: 1 / 3, rollbacks: 1, good: 400 },
    watch: { steps: 500, recent: 0.1, fast: 0.1, slow: 0.2, first: 0.9, best: 0.1 },
  },
  kept: { quantised: 101, adversarial: 0 },
  moments_since: 300,
};
const sum = { bytes: 10, sha256: 'a'.repeat(64) };
const checksums = { model: sum, optimizer: sum };
const text = stateText({ state, checksums });

test('comes back as it was, with the checksums of the files beside it', () => {
  expect(parseState(text, 'f')).toEqual({ state, checksums });
  expect(parseState(`${text.trimEnd()}\r\n`, 'f')).toEqual({ state, checksums });
  expect(JSON.parse(text)).toMatchObject({ ...state, sha256: expect.any(String) });
});

test('what earlier versions saved has no checksums, and is read', () => {
  expect(parseState(JSON.stringify(state), 'f')).toEqual({ state });
  const first = { step: 3, seconds: 0, validated: 0, best: null };
  const usage = { counts: [1, 2], total: 3 };
  for (const metrics of [
    null,
    { sums: {}, steps: 0, seconds: 0, usage },
    { sums: {}, steps: 0, seconds: 0, usage: null },
  ])
    expect(parseState(JSON.stringify({ ...first, metrics }), 'f')).toEqual({ state: { ...first, metrics } });
});

test('each flipped bit of a state with a checksum is seen', () => {
  const bytes = Buffer.from(text.trimEnd());
  for (let at = 0; at < bytes.length; at++) {
    const damaged = Buffer.from(bytes);
    damaged[at]! ^= 1 << (at % 8);
    expect(() => parseState(damaged.toString('utf8'), 'f')).toThrow(UserError);
  }
});

test.each<[string, string, RegExp]>([
  ['no text at all', '', /received no JSON/],
  ['nothing in it', '{}', /something else at step/],
  ['no object', '[1]', /received something else/],
  ['a negative step', JSON.stringify({ ...state, step: -1 }), /something else at step/],
  ['half a step', JSON.stringify({ ...state, step: 1.5 }), /something else at step/],
  ['a step beyond all', JSON.stringify({ ...state, step: 1e300 }), /something else at step/],
  ['endless time', JSON.stringify(state).replace('12.5', '1e999'), /something else at seconds/],
  ['no number', JSON.stringify({ ...state, seconds: Number.NaN }), /something else at seconds/],
  ['no rate', JSON.stringify({ ...state, guard: { ...state.guard, lr: -1 } }), /something else at guard\.lr/],
  [
    'counts below 0',
    JSON.stringify(state).replace('[1,0,3]', '[1,-1,3]'),
    /something else at metrics\.usage/,
  ],
  [
    'a best that is yet to come',
    JSON.stringify({ ...state, best: { step: 501, value: 1 } }),
    /later than its own 500/,
  ],
  ['moments of a step to come', JSON.stringify({ ...state, moments_since: 501 }), /later than its own 500/],
  ['a key that there never was', JSON.stringify({ ...state, sha257: '' }), /received something else/],
])('%s is refused', (_, damaged, message) => {
  expect(() => parseState(damaged, 'f')).toThrow(message);
  expect(() => parseState(damaged, 'f')).toThrow(UserError);
});

test('300 mutations give a state or one sentence, and never another error', () => {
  const plain = JSON.stringify(state);
  let refused = 0;
  for (let seed = 0; seed < 300; seed++) {
    const mutated = mutatedJson(plain, seed);
    try {
      const { step, seconds, validated } = parseState(mutated, 'f').state;
      expect([step, validated].every((n) => Number.isSafeInteger(n) && n >= 0)).toBe(true);
      expect(seconds).toBeGreaterThanOrEqual(0);
    } catch (error) {
      expect(error).toBeInstanceOf(UserError);
      refused++;
    }
    const sealed = stateText({ state }).replace(plain.slice(1), mutated.slice(1));
    if (mutated.slice(1) !== plain.slice(1)) expect(() => parseState(sealed, 'f')).toThrow(UserError);
  }
  expect(refused).toBeGreaterThan(150);
});

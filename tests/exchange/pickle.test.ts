import { UserError } from '../../src/base/errors.js';
import { openPickles } from '../../src/exchange/pickle.js';

const hooks = {
  calls: { 'm.f': () => 'called', 'm.list': ([list]: readonly unknown[]) => [...(list as [])] },
  isOpaque: (name: string) => name.startsWith('m.Settings'),
  persistent: () => null,
};
const pickles = (text: string) => openPickles(Buffer.from(text, 'latin1'), hooks, 'x.pt');
const read = (text: string) => pickles(text).next();

test('calls only what it may', () => {
  expect(read('cm\nf\n)R.')).toBe('called');
  expect(read('cm\nSettings\n)R}b.')).toMatchObject({ name: 'm.Settings' });
  expect(() => read('cm\ng\n)R.')).toThrow('m.g called');
  expect(() => read('cm\ntoString\n)R.')).toThrow('m.toString called');
});

test('long numbers, in two’s complement', () => {
  expect(read('\x8a\x02\xff\x00.')).toBe(255);
  expect(read('\x8a\x01\xff.')).toBe(-1);
  expect(read('\x8a\x00.')).toBe(0);
  expect(read(`\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.`)).toBe(0x1950a86a20f9469cfc6cn);
  expect(read(`\x8a\x09${'\x00'.repeat(8)}\xff.`)).toBe(-(2n ** 64n));
});

test('several, one after another', () => {
  const both = pickles('K\x01.h\x00.');
  expect(both.next()).toBe(1);
  expect(both.at).toBe(3);
  expect(() => both.next()).toThrow('there is no object 0');
});

test.each([
  ['INST', '(im\nf\n.', '0x69'],
  ['OBJ', '(cm\nf\no.', '0x6f'],
  ['EXT1', '\x82\x01.', '0x82'],
  ['NEWOBJ_EX', 'cm\nf\n)}\x92.', '0x92'],
  ['PERSID', 'Pm\n.', '0x50'],
])('%s is refused', (_, text, code) => {
  expect(() => read(text)).toThrow(`wants the pickle instruction ${code} executed`);
});

test('the state of a call’s result is not set', () => {
  expect(() => read('cm\nf\n)R}b.')).toThrow('the state of an object set');
});

test.each(['', '.', 't.', ')', 'h\x00.', 'X\xff\xff\xff\x7f', 'K\x01K\x02s.', ')R.'])(
  'damaged: %j',
  (text) => {
    expect(() => read(text)).toThrow(UserError);
  },
);

const long = 2 ** 21;
const text8 = (text: string) =>
  `X${Buffer.from(Uint32Array.of(text.length).buffer).toString('latin1')}${text}`;
const some = (n: number) => `](${')'.repeat(n)}e`;

test.each([
  ['instructions', 'N'.repeat(long)],
  ['calls that copy', `${some(2e4)}q\x01cm\nlist\nq\x02(${'h\x02h\x01\x85R'.repeat(3e4)}`],
  ['dictionaries', '}'.repeat(long)],
  ['sets', '\x8f'.repeat(long)],
  ['lists of one', ']Na'.repeat(long / 2)],
  ['tuples in tuples', `)${'\x85'.repeat(long)}`],
  ['tuples of the same twice', `)${'2\x86'.repeat(long)}`],
  ['bytes', 'C\x00'.repeat(long)],
  ['texts', '\x8c\x03\xc3\xa9x'.repeat(long / 2)],
  ['long numbers', `\x8a\x40${'\x11'.repeat(64)}`.repeat(3e4)],
  ['names', 'ca\nb\n'.repeat(long / 2)],
  ['instances', `cm\nSettings\nq\x01(${'h\x01)R'.repeat(long / 2)}`],
  ['objects to remember', `N${'\x94'.repeat(long)}`],
])('too many %s end at the limit of steps', (_, text) => {
  expect(() => read(text)).toThrow(
    'a pickle of more than 1000000 steps. Save its state dictionary alone: torch.save(model.state_dict(), …).',
  );
});

test('names are short', () => {
  expect(() => read(`${text8(`m.Settings${'x'.repeat(1e6)}`)}q\x01h\x01\x93`)).toThrow('a name that is too');
});

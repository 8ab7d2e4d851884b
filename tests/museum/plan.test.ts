import { extentFor, givenFor, guessesFor, mostFor, shareOf, warmupIn } from '../../src/museum/plan.js';
import { catalogue, roomsFor, sharesOf, worksOf } from '../../src/museum/rooms.js';

const guesses = { tokens: 30, exhibit: 20 };

test('a share is of what the works without one leave, by what they took so far', () => {
  const works = worksOf(catalogue);
  expect(works.reduce((sum, work) => sum + sharesOf(work), 0)).toBe(13);
  // 3 tokenizations, 10 exhibits, 3 s for the page
  expect(shareOf(3593, works, { taken: [], guesses })).toBeCloseTo((3593 - 3 * 30 - 200 - 3) / 13);
  const taken = [{ kind: 'exhibit', seconds: 40 } as const];
  expect(shareOf(3593, works, { taken, guesses })).toBeCloseTo((3593 - 3 * 30 - 400 - 3) / 13);
  const last = works.filter(({ room }) => room.name.startsWith('maskgit'));
  expect(shareOf(143, last, { taken: [], guesses })).toBe(100); // all that is left
  expect(shareOf(-5, last, { taken: [], guesses })).toBe(1);
});

test('what trainings are given makes up for what they take', () => {
  expect(givenFor(60, [])).toBe(60);
  const late = { given: 60, seconds: 90 };
  expect(givenFor(60, [late])).toBeCloseTo(60 * (120 / 150));
  expect(givenFor(60, Array(5).fill(late))).toBeCloseTo(60 * (360 / 510));
  expect(givenFor(60, [{ given: 60, seconds: 20 }])).toBeCloseTo(69); // the most
  expect(givenFor(60, [{ given: 1, seconds: 900 }])).toBe(30); // the least
});

test('a training may take a part of the others’ time, the last one hardly any', () => {
  expect(mostFor(100, { budget: 1000, last: false })).toBe(130);
  expect(mostFor(100, { budget: 1000, last: true })).toBe(120);
});

test('short museums draw, measure and warm up less', () => {
  expect([120, 360, 3600, 86_400].map(extentFor)).toEqual([
    { measured: 64, drawn: 1000 },
    { measured: 64, drawn: 1080 },
    { measured: 400, drawn: 8000 },
    { measured: 400, drawn: 8000 },
  ]);
  expect(guessesFor({ measured: 360, drawn: 0 }, 1500)).toEqual({ tokens: 13, exhibit: 24 });
  expect([1, 120, 240, 1000].map((seconds) => warmupIn(seconds, 100))).toEqual([2, 50, 100, 100]);
});

test('pictures without classes close one room', () => {
  expect(roomsFor(2).closed).toEqual([]);
  expect(roomsFor(1).closed.map(({ name }) => name)).toEqual(['cvae']);
});

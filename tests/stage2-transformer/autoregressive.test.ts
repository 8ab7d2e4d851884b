import { decodeLoop } from '../../src/stage2-transformer/autoregressive.js';
import { choose } from '../../src/stage2-transformer/choose.js';

const greedy = { temperature: 1, topK: 1, topP: 1 };

test('a model that always says "one more" yields 5, 6, 7, 8', async () => {
  const places: number[] = [];
  const codes = await decodeLoop({
    known: new Int32Array(8).fill(-1),
    start: Int32Array.of(4, 4),
    nextLogits: async (ids, position) => {
      places.push(position);
      const logits = new Float32Array(2 * 10);
      for (const [row, id] of ids.entries()) logits[row * 10 + ((id + 1) % 10)] = 5;
      return logits;
    },
    pick: (row, logits) => (row === 0 ? choose(logits, greedy, 0.5) : 9), // the second row draws 9 for ever
  });
  expect([...codes]).toEqual([5, 6, 7, 8, 9, 9, 9, 9]);
  expect(places).toEqual([0, 1, 2, 3]);
});

test('each sequence may begin with a token of its own', async () => {
  const seen: number[][] = [];
  await decodeLoop({
    known: new Int32Array(4).fill(-1),
    start: Int32Array.of(7, 9),
    nextLogits: async (ids) => {
      seen.push([...ids]);
      return new Float32Array(4);
    },
    pick: (row) => row,
  });
  expect(seen).toEqual([
    [7, 9],
    [0, 1],
  ]);
});

test('known codes are taken as they are, seen by what comes after, and nothing is drawn for them', async () => {
  const picked: [number, number][] = [];
  const codes = await decodeLoop({
    known: Int32Array.of(-1, 3, -1, -1, 8, -1, -1, 2),
    start: Int32Array.of(4, 4),
    nextLogits: async (ids) => {
      const logits = new Float32Array(2 * 10);
      for (const [row, id] of ids.entries()) logits[row * 10 + ((id + 1) % 10)] = 5;
      return logits;
    },
    pick: (row, logits, position) => {
      picked.push([row, position]);
      return choose(logits, greedy, 0.5);
    },
  });
  expect([...codes]).toEqual([5, 3, 4, 5, 8, 9, 0, 2]);
  expect(picked).toEqual([
    [0, 0],
    [1, 1],
    [0, 2],
    [1, 2],
    [0, 3],
  ]);
});

test('ends when it is told to', async () => {
  const stop = new AbortController();
  const drawn = decodeLoop({
    known: new Int32Array(4).fill(-1),
    start: Int32Array.of(0),
    nextLogits: async () => new Float32Array(2),
    pick: () => 0,
    onToken: (place) => place === 1 && stop.abort(),
    signal: stop.signal,
  });
  await expect(drawn).rejects.toThrow(/abort/);
});

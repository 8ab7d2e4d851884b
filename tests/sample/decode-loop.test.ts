import { choose } from '../../src/sample/choose.js';
import { decodeLoop } from '../../src/sample/decode-loop.js';

const greedy = { temperature: 1, topK: 1, topP: 1 };

test('a model that always says "one more" yields 5, 6, 7, 8', async () => {
  const places: number[] = [];
  const codes = await decodeLoop({
    batch: 2,
    tokens: 4,
    start: 4,
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

test('ends when it is told to', async () => {
  const stop = new AbortController();
  const drawn = decodeLoop({
    batch: 1,
    tokens: 4,
    start: 0,
    nextLogits: async () => new Float32Array(2),
    pick: () => 0,
    onToken: (place) => place === 1 && stop.abort(),
    signal: stop.signal,
  });
  await expect(drawn).rejects.toThrow(/abort/);
});

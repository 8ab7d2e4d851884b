import { decodeLoop, guided } from '../../src/stage2-transformer/autoregressive.js';
import { choose } from '../../src/stage2-transformer/choose.js';

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

test('each sequence may begin with a token of its own', async () => {
  const seen: number[][] = [];
  await decodeLoop({
    batch: 2,
    tokens: 2,
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

test('guidance: u + s·(c − u), and what begins without a class goes the way of what begins with one', async () => {
  const asked: number[][] = [];
  const model = async (ids: Int32Array) => {
    asked.push([...ids]);
    return Float32Array.from([...ids].flatMap((id) => [id, id * id])); // [B, 2]
  };
  const next = guided(model, { scale: 3, start: 5 });
  expect([...(await next(Int32Array.of(6, 7), 0))]).toEqual([5 + 3, 25 + 3 * 11, 5 + 6, 25 + 3 * 24]);
  expect([...(await next(Int32Array.of(2, 3), 1))]).toEqual([2, 4, 3, 9]);
  expect(asked).toEqual([
    [6, 7, 5, 5],
    [2, 3, 2, 3],
  ]);
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

import { drawerOf, guided } from '../../src/stage2-transformer/drawer.js';
import { startTokens } from '../../src/stage2-transformer/gpt/sequences.js';

test('guidance: u + s·(c − u), and what begins without a class goes the way of what begins with one', async () => {
  const asked: number[][] = [];
  const model = async (ids: Int32Array) => {
    asked.push([...ids]);
    return Float32Array.from([...ids].flatMap((id) => [id, id * id])); // [B, 2]
  };
  const next = guided(model, { scaleAt: (place) => 3 - place, start: 5 });
  expect([...(await next(Int32Array.of(6, 7), 0))]).toEqual([5 + 3, 25 + 3 * 11, 5 + 6, 25 + 3 * 24]);
  expect([...(await next(Int32Array.of(2, 3), 1))]).toEqual([2, 4, 3, 9]);
  expect(asked).toEqual([
    [6, 7, 5, 5],
    [2, 3, 2, 3],
  ]);
});

describe('a drawer', () => {
  const grids = [
    { name: 'top', height: 1, width: 2, vocab: 3 },
    { name: 'bottom', height: 1, width: 2, vocab: 5 },
  ];
  /** The likeliest code that may follow is the largest, whatever came before. */
  const drawn = async (known: number[], cfgScale = 1, o: { greedyFrom?: number; topK?: number } = {}) => {
    const asked: number[][] = [];
    const model = {
      async nextLogits(ids: Int32Array) {
        asked.push([...ids]);
        return Float32Array.from([...ids].flatMap(() => [0, 1, 2, 3, 4]));
      },
      async dispose() {},
    };
    const canvas = { codes: Int32Array.from(known), labels: Int32Array.of(1) };
    const { topK = 1, greedyFrom } = o;
    const choice = { temperature: 1e6, topK, topP: 1 };
    const starts = (labels: Int32Array) => startTokens(5, labels);
    const drawer = drawerOf(model, { grids, cfgScale, starts });
    const codes = await drawer.draw(canvas, { choice, greedyFrom, random: [{ uniform: () => 0.5 }] });
    return { codes: [...codes], asked };
  };

  test('a label becomes the token that begins a sequence; a cell is drawn among the codes of its own grid', async () => {
    const { codes, asked } = await drawn([-1, -1, -1, -1]);
    expect(codes).toEqual([2, 2, 4, 4]);
    expect(asked).toEqual([[7], [2], [2], [4]]);
  });

  test('known cells stay, and what is drawn comes after them', async () => {
    const { codes, asked } = await drawn([1, -1, 0, -1]);
    expect(codes).toEqual([1, 2, 0, 4]);
    expect(asked).toEqual([[7], [1], [2], [0]]);
  });

  test('from a place on the likeliest code is taken', async () => {
    expect((await drawn([-1, -1, -1, -1], 1, { topK: 0 })).codes).toEqual([1, 1, 2, 2]);
    expect((await drawn([-1, -1, -1, -1], 1, { topK: 0, greedyFrom: 1 })).codes).toEqual([1, 2, 4, 4]);
  });

  test('guidance asks for each sequence with and without its class', async () => {
    const { asked } = await drawn([1, -1, 0, -1], 2);
    expect(asked).toEqual([
      [7, 5],
      [1, 1],
      [2, 2],
      [0, 0],
    ]);
  });
});

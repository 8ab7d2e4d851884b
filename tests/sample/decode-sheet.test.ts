import { only } from '../../src/base/lookup.js';
import { silent } from '../../src/base/progress.js';
import { stream } from '../../src/base/rng.js';
import type { Config } from '../../src/config/schema.js';
import { configSchema } from '../../src/config/schema.js';
import type { Device } from '../../src/engine/device.js';
import { openDevice } from '../../src/engine/index.js';
import { blankSheet, type Sheet } from '../../src/sample/code-sheet.js';
import { decodeSheet } from '../../src/sample/decode-sheet.js';
import { gridsOf } from '../../src/stage1-vqgan/model.js';
import { decodePartProgram, sightOf } from '../../src/stage1-vqgan/parts.js';
import { startOf } from '../support/networks.js';

let device: Device;
beforeAll(async () => {
  device = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
});

const strided = (stage1: object): Config =>
  configSchema.parse({
    data: { size: 16 },
    stage1: {
      ...{ network: 'strided', ch: 4, ch_mult: [1, 2, 2], num_res_blocks: 1, embed_dim: 4, codes: 16 },
      ...{ disc: { weight: 0 }, ...stage1 },
    },
  });
const level = { kind: 'nearest', codes: 8, embed_dim: 4 };
const hierarchy = strided({
  ...{ ch_mult: [1, 2], codes: undefined },
  bottleneck: { kind: 'hierarchy', levels: [level, level] },
});

/** Random weights, those of filters large enough that each pixel differs. */
function weightsOf(config: Config) {
  const state = startOf(config);
  const weights = Object.fromEntries(
    Object.entries(state).flatMap(([name, tensor]) =>
      name.startsWith('model.') ? [[name.slice('model.'.length), tensor]] : [],
    ),
  );
  for (const [name, { data }] of Object.entries(weights))
    if (name.startsWith('bottleneck.')) for (const i of data.keys()) data[i] = 20 * data[i]!;
  return { tensors: weights, sha256: '', step: 1 };
}

function randomSheet(config: Config, rows: number, columns: number, seed: string): Sheet {
  const sheet = blankSheet(gridsOf(config), rows, columns);
  const rng = stream(seed);
  for (const [i, codes] of sheet.codes.entries())
    for (const at of codes.keys()) codes[at] = rng.below(sheet.grids[i]!.vocab);
  return sheet;
}

/** What is decoded of a whole sheet at once, [H, W, 3] as bytes. */
async function atOnce(config: Config, tokenizer: ReturnType<typeof weightsOf>, sheet: Sheet) {
  const { rows, columns } = sheet;
  const graph = await device.prepare(decodePartProgram(config, tokenizer.tensors, { rows, columns }));
  const inputs = sheet.grids.map(({ name, height }, i) => {
    const finer = height / sheet.side;
    return [
      name,
      { dtype: 'int32', shape: [1, rows * finer, columns * finer], data: sheet.codes[i]! },
    ] as const;
  });
  const { images } = await graph.run(Object.fromEntries(inputs));
  await graph.dispose();
  return (images.data as Float32Array).map((x) => Math.min(255, Math.max(0, (x + 1) * 127.5)));
}

test.each([
  ['transposed convolutions', strided({}), 61, 9],
  ['nearest, with the filter for photographs', strided({ upsampling: 'nearest', filter: 'photo' }), 9, 50],
  ['two grids', hierarchy, 30, 29],
  ['smaller than the trained size', strided({}), 2, 3],
])('%s: parts are what decoding at once gives', async (_, config, rows, columns) => {
  const tokenizer = weightsOf(config);
  const sheet = randomSheet(config, rows, columns, 'sheet');
  const { width, height, data } = await decodeSheet(sheet, { config, tokenizer, device } as never);
  const cell = 16 / only(gridsOf(config).slice(0, 1)).height;
  expect([width, height]).toEqual([columns * cell, rows * cell]);
  const whole = await atOnce(config, tokenizer, sheet);
  expect(new Set(data).size).toBeGreaterThan(30);
  const worst = whole.reduce((most, value, i) => Math.max(most, Math.abs(value - data[i]!)), 0);
  expect(worst).toBeLessThanOrEqual(0.5 + 1e-3 * 127.5);
});

test.each([
  ['one grid', strided({ upsampling: 'nearest', filter: 'photo' })],
  ['two grids', hierarchy],
])('%s: a code acts no further than the decoder is said to see', async (_, config) => {
  const sight = sightOf(config)!;
  const tokenizer = weightsOf(config);
  const [rows, columns] = [1, 2 * sight + 5];
  const sheet = randomSheet(config, rows, columns, 'far');
  const before = await atOnce(config, tokenizer, sheet);
  for (const codes of sheet.codes) codes[0] = (codes[0]! + 3) % 8;
  const after = await atOnce(config, tokenizer, sheet);
  const cell = 16 / sheet.side;
  const width = columns * cell;
  const changed = [...before.keys()]
    .filter((i) => before[i] !== after[i])
    .map((i) => Math.floor(i / 3) % width);
  expect(changed.length).toBeGreaterThan(0);
  // Of the finest grid one cell was changed, of the coarsest as well: both lie within the first cell.
  expect(Math.max(...changed)).toBeLessThan((1 + sight) * cell);
});

test('a network that sees all: windows of the trained size, mixed where they meet; the first alone is as trained', async () => {
  const config = configSchema.parse({
    data: { size: 16 },
    stage1: { ch: 4, ch_mult: [1, 1, 1], z_channels: 4, embed_dim: 4, codes: 16, disc: { weight: 0 } },
  });
  expect(sightOf(config)).toBeUndefined();
  const tokenizer = weightsOf(config);
  const models = { config, tokenizer, device } as never;
  const sheet = randomSheet(config, 4, 10, 'mixed');
  const { width, height, data } = await decodeSheet(sheet, models);
  expect([width, height]).toEqual([40, 16]);
  const first = {
    ...sheet,
    columns: 4,
    codes: [Int32Array.from({ length: 16 }, (_, i) => sheet.codes[0]![10 * Math.floor(i / 4) + (i % 4)]!)],
  };
  const whole = await atOnce(config, tokenizer, first);
  for (let y = 0; y < 16; y++)
    for (
      let x = 0;
      x < 8;
      x++ // The next window begins at half of it.
    )
      for (let c = 0; c < 3; c++)
        expect(Math.abs(data[3 * (40 * y + x) + c]! - whole[3 * (16 * y + x) + c]!)).toBeLessThan(0.51);
  const alone = await decodeSheet(first, models);
  const worst = whole.reduce((most, value, i) => Math.max(most, Math.abs(value - alone.data[i]!)), 0);
  expect(worst).toBeLessThan(0.51);
});

test('what is not drawn yet is white', async () => {
  const config = strided({});
  const tokenizer = weightsOf(config);
  const sheet = randomSheet(config, 4, 8, 'white');
  sheet.codes[0]!.fill(-1, 20);
  const { data } = await decodeSheet(sheet, { config, tokenizer, device } as never);
  const at = (y: number, x: number) => [...data.subarray(3 * (32 * y + x), 3 * (32 * y + x) + 3)];
  expect(at(8, 16)).toEqual([255, 255, 255]);
  expect(at(15, 31)).toEqual([255, 255, 255]);
  expect(at(8, 15)).not.toEqual([255, 255, 255]);
});

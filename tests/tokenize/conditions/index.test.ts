/** What each kind tells of pictures that are known. */
import { hexOf } from '../../../src/data/map-labels.js';
import { onnxDevice } from '../../../src/engine/onnx-device.js';
import { colourCode, colourCodes, colourOf } from '../../../src/tokenize/conditions/colours.js';
import { edges } from '../../../src/tokenize/conditions/edges.js';
import { openConditioner } from '../../../src/tokenize/conditions/index.js';
import { cellMeans, lowres } from '../../../src/tokenize/conditions/lowres.js';
import { maps } from '../../../src/tokenize/conditions/maps.js';
import { palette } from '../../../src/tokenize/conditions/palette.js';
import { untold } from '../../../src/tokenize/conditions/untold.js';

type Colour = readonly [number, number, number];
const [red, blue, grey]: [Colour, Colour, Colour] = [
  [1, -1, -1],
  [-1, -1, 1],
  [0, 0, 0],
];

const painted = (size: number, colourAt: (x: number, y: number) => Colour): Float32Array =>
  Float32Array.from({ length: size * size * 3 }, (_, i) => {
    const at = Math.floor(i / 3);
    return colourAt(at % size, Math.floor(at / size))[i % 3]!;
  });

test('colours: eight levels, the nearest', () => {
  expect([colourCode(-1, -1, -1), colourCode(1, 1, 1), colourCode(1, -1, -1)]).toEqual([0, 511, 448]);
  for (const code of [0, 1, 100, 511]) expect(colourCode(...colourOf(code))).toBe(code);
  expect(colourCode(2, -2, 0.13)).toBe(448 + 4);
  expect(colourOf(colourCodes)).toEqual([1, 1, 1]);
});

test('lowres: the mean of each cell', () => {
  const told = lowres(8, 2);
  expect(told.record.grid).toEqual({ name: 'condition', height: 2, width: 2, vocab: 513 });
  const image = painted(8, (x, y) => (y < 4 ? (x < 4 ? red : blue) : x % 2 ? [1, 1, 1] : [-1, -1, -1]));
  const codes = told.codes(image);
  expect(colourOf(codes[0]!)).toEqual(red);
  expect(colourOf(codes[1]!)).toEqual(blue);
  for (const value of colourOf(codes[2]!)) expect(Math.abs(value)).toBeLessThan(0.15);
  const shown = told.shown(codes);
  expect([...shown.subarray(0, 3)]).toEqual(red);
  expect([...shown.subarray(3 * 7, 3 * 8)]).toEqual(blue);
  const noise = painted(8, (x, y) => [Math.sin(x + y), Math.cos(3 * x), Math.sin(y)]);
  const [means, back] = [
    cellMeans(noise, 8, 4),
    cellMeans(lowres(8, 4).shown(lowres(8, 4).codes(noise)), 8, 4),
  ];
  const worst = means.reduce((most, mean, i) => Math.max(most, Math.abs(mean - back[i]!)), 0);
  expect(worst).toBeLessThan(1 / 7 + 1e-6);
});

test('palette: the most frequent colours first, none twice', () => {
  const told = palette(8, 4);
  const image = painted(8, (x, y) => (y < 5 ? blue : x < 6 ? red : grey));
  const codes = told.codes(image);
  expect([...codes]).toEqual([colourCode(...blue), colourCode(...red), colourCode(...grey), 512]);
  expect(told.record.grid).toEqual({ name: 'condition', height: 1, width: 4, vocab: 513 });
  expect([...told.codes(painted(8, () => red))]).toEqual([448, 512, 512, 512]);
  expect([...told.shown(codes).subarray(3 * 7, 3 * 8)]).toEqual([1, 1, 1]);
});

describe('edges', () => {
  const told = edges(12, 2); // parts of two pixels

  test('of nine parts of a cell those that one goes through', () => {
    const codes = told.codes(painted(12, (x) => (x < 8 ? [-1, -1, -1] : [1, 1, 1])));
    // Between pixels 7 and 8: as steep on both sides, and one of them counts.
    const column = 0b001001001;
    expect([codes[0], codes[2]]).toEqual([0, 0]);
    expect([column, column << 1]).toContain(codes[1]);
    expect(codes[3]).toBe(codes[1]);
  });

  test('a slanting one is as thin', () => {
    const codes = told.codes(painted(12, (x, y) => (x + y < 12 ? [-1, -1, -1] : [1, 1, 1])));
    const parts = [...codes].map((code) => code.toString(2).replaceAll('0', '').length);
    expect(parts[1]! + parts[2]!).toBeGreaterThanOrEqual(5);
    expect(parts.reduce((a, b) => a + b)).toBeLessThanOrEqual(11);
  });

  test('none in a flat picture, or where what changes hardly does beside the rest', () => {
    expect([...told.codes(painted(12, (x) => [x / 200, 0, 0]))]).toEqual([0, 0, 0, 0]);
    const faint = painted(12, (x, y) => (x < 8 ? (y === 9 ? [-0.9, -0.9, -0.9] : [-1, -1, -1]) : [1, 1, 1]));
    expect(told.codes(faint)[2]).toBe(0);
  });

  test('what is told is shown', () => {
    const codes = told.codes(painted(12, (x) => (x < 8 ? [-1, -1, -1] : [1, 1, 1])));
    const shown = told.shown(codes);
    const dark = Array.from({ length: 12 }, (_, x) => shown[3 * (12 * 5 + x)]! < 0);
    expect(dark.filter(Boolean)).toHaveLength(2);
    expect(dark.indexOf(true) % 2).toBe(0);
    expect(told.shown([512, 512, 512, 512]).every((value) => value === 1)).toBe(true);
  });
});

test('maps: the colour that covers most of a cell', () => {
  const labels = [
    { colour: '#ff0000', share: 0.7 },
    { colour: '#0000ff', share: 0.3 },
  ];
  const told = maps(8, 2, labels);
  const map = painted(8, (x, y) => (x < 3 || (x < 6 && y > 4) ? red : blue));
  const codes = told.codes(map);
  expect([...codes]).toEqual([0, 1, 0, 1]);
  expect([...told.shown(codes).subarray(0, 3)]).toEqual(red);
  expect(untold(told.record.grid)).toBe(2);
  expect(hexOf(0.2, -0.7, 1)).toBe('#9926ff');
});

test('a record makes the same again', async () => {
  const image = painted(16, (x, y) => [Math.sin(x * y), Math.cos(x), Math.sin(y)]);
  for (const told of [edges(16, 4), lowres(16, 4), palette(16, 3)]) {
    const record = JSON.parse(JSON.stringify(told.record));
    const again = await openConditioner(record, { run: 'none', device: onnxDevice() });
    expect(again.record).toEqual(told.record);
    const codes = told.codes(image);
    expect(await again.codes([image, image])).toEqual(Int32Array.from([...codes, ...codes]));
    expect(await again.shown(codes)).toEqual(told.shown(codes));
  }
});

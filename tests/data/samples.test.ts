import { decode, reasonOf } from '../../src/data/pictures.js';
import { gifFile, pngFile, profile, type Raster, type TiffOptions, tiffFile } from '../support/rasters.js';

const colours = [
  [200, 100, 50],
  [10, 20, 30],
  [120, 130, 140],
  [30, 180, 90],
  [60, 60, 200],
  [3, 5, 8],
];
const side = 3;

/** A picture three pixels high, of one colour a column, whose values of 0 to 255 `levels` takes to the file's. */
function columns(colours: readonly number[][], levels: (values: number[]) => Raster['samples']): Raster {
  const samples = levels(Array.from({ length: side }, () => colours).flat(2));
  return { width: colours.length, height: side, channels: colours[0]!.length, samples };
}

const bytes = (values: number[]): Uint8Array => Uint8Array.from(values);
const words = (values: number[]): Uint16Array => Uint16Array.from(values, (v) => v * 257);
const floats = (values: number[]): Float32Array => Float32Array.from(values, (v) => v / 255);
const onWhite = (colour: number[]): number[] => colour.map((value) => Math.round(0.2 * value + 204));

async function expectColours(file: Buffer, right: readonly number[][], within = 0): Promise<void> {
  const rgb = right.flatMap((colour) => (colour.length === 1 ? [...colour, ...colour, ...colour] : colour));
  const got = [...(await decode(file, side)).data.subarray(-rgb.length)];
  const isNear = rgb.every((value, i) => Math.abs(value - got[i]!) <= within);
  expect(isNear ? rgb : got).toEqual(rgb);
}

async function reasonFor(file: Buffer): Promise<string> {
  return decode(file, side).then(() => 'none', reasonOf);
}

/** What littleCMS makes of `colours`, or of their first values as grey, in sRGB (16 bits, perceptual). */
const byLittleCms: [string, Buffer, number[][]][] = [
  [
    'sRGB of gamma 2.2',
    profile('srgb', 2.2),
    [
      [201, 100, 46],
      [3, 12, 24],
      [121, 131, 141],
      [24, 181, 90],
      [57, 57, 201],
      [1, 1, 2],
    ],
  ],
  [
    'linear sRGB',
    profile('srgb', 1),
    [
      [229, 168, 122],
      [56, 79, 96],
      [183, 189, 196],
      [96, 219, 160],
      [133, 133, 229],
      [28, 38, 50],
    ],
  ],
  [
    'Adobe RGB',
    profile('adobe', 2.2),
    [
      [227, 100, 42],
      [1, 12, 24],
      [116, 131, 142],
      [0, 181, 83],
      [57, 57, 205],
      [1, 1, 2],
    ],
  ],
  [
    'ProPhoto',
    profile('prophoto', 1.8),
    [
      [255, 80, 46],
      [0, 28, 42],
      [124, 150, 159],
      [0, 211, 87],
      [0, 76, 223],
      [2, 4, 7],
    ],
  ],
  ['linear grey', profile('grey', 1), [[229], [55], [182], [96], [133], [19]]],
  ['grey of gamma 1.8', profile('grey', 1.8), [[210], [10], [139], [40], [77], [2]]],
];

describe.each(byLittleCms)('%s', (_, icc, right) => {
  const values = colours.map((colour) => colour.slice(0, right[0]!.length));

  test.each([8, 16])('%i bits, PNG and TIFF', async (bits) => {
    const picture = { ...columns(values, bits === 8 ? bytes : words), icc };
    await expectColours(pngFile(picture), right, 2);
    await expectColours(tiffFile(picture), right, 2);
    await expectColours(tiffFile(picture, { isLittle: false }), right, 2);
  });

  test.each([8, 16])('%i bits with alpha, on white', async (bits) => {
    const withAlpha = values.map((colour) => [...colour, 51]);
    const picture = { ...columns(withAlpha, bits === 8 ? bytes : words), icc };
    await expectColours(pngFile(picture), right.map(onWhite), 2);
    await expectColours(tiffFile(picture, { extra: [2] }), right.map(onWhite), 2);
  });
});

describe('16 bits', () => {
  test.each([
    ['damaged', Buffer.alloc(600, 'x')],
    ['cut off', profile('adobe', 2.2).subarray(0, 300)],
    ['of another kind', profile('grey', 1)],
  ])('a profile that is %s counts as none', async (_, icc) => {
    await expectColours(tiffFile({ ...columns(colours, words), icc }), colours);
    await expectColours(tiffFile({ ...columns(colours, bytes), icc }), colours);
  });

  test('EXIF orientation is applied beside a profile', async () => {
    const samples = words(Array.from({ length: side * 2 * side }, (_, i) => (i < side * side ? 0 : 255)));
    const picture = { width: side, height: 2 * side, channels: 1, samples, icc: profile('grey', 1) };
    const { width, height, data } = await decode(tiffFile(picture, { orientation: 8 }), side);
    expect([width, height]).toEqual([2 * side, side]);
    expect([data[0], data[(2 * side - 1) * 3]]).toEqual([0, 255]);
  });
});

describe('TIFFs of floats', () => {
  test('0 to 1 is what is seen', async () => {
    const greys = colours.map((colour) => colour.slice(0, 1));
    const withFourth = columns(
      colours.map((colour) => [...colour, 51]),
      floats,
    );
    await expectColours(tiffFile(columns(colours, floats)), colours);
    await expectColours(tiffFile(columns(greys, floats)), greys);
    await expectColours(tiffFile(withFourth, { extra: [2] }), colours.map(onWhite), 1);
    await expectColours(tiffFile(withFourth, { extra: [0] }), colours);
  });

  test('other numbers are refused', async () => {
    const of = (...values: number[]): Raster => ({
      width: 2,
      height: 2,
      channels: 1,
      samples: Float32Array.from(values),
    });
    const saveIt = ': save it with 8 or 16 bits a channel';
    for (const value of [-0.5, 1.25, 255, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(await reasonFor(tiffFile(of(0, 0.5, 1, value)))).toBe(
        `floating-point values beyond 0 to 1 (${value})${saveIt}`,
      );
    }
    expect(await reasonFor(tiffFile({ ...of(0, 0, 1, 1), icc: profile('grey', 1) }))).toBe(
      `floating-point values with a colour profile${saveIt}`,
    );
    expect(await reasonFor(tiffFile(columns([[9]], (v) => Int16Array.from(v))))).toBe(
      `values of type short${saveIt}`,
    );
  });
});

describe('bands of a TIFF after the colours', () => {
  const [colour, clear] = [
    [200, 100, 50],
    [244, 224, 214],
  ];
  const layouts: TiffOptions[] = [{}, { isLittle: false }, { isBig: true }, { isBig: true, isLittle: false }];

  test.each([
    ['unspecified', [0], [200, 100, 50, 51], colour],
    ['alpha', [2], [200, 100, 50, 51], clear],
    ['premultiplied alpha', [1], [40, 20, 10, 51], clear],
    ['two, unspecified', [0, 0], [200, 100, 50, 51, 7], colour],
    ['alpha and one more', [2, 0], [200, 100, 50, 51, 7], clear],
    ['one more and alpha', [0, 2], [200, 100, 50, 7, 51], clear],
    ['beside grey, unspecified', [0], [200, 51], [200]],
    ['beside grey, alpha', [2], [200, 51], [244]],
  ])('%s', async (_, extra, values, right) => {
    for (const layout of layouts) {
      await expectColours(tiffFile(columns([values], bytes), { ...layout, extra }), [right], 1);
      await expectColours(tiffFile(columns([values], words), { ...layout, extra }), [right], 1);
    }
  });
});

describe('GIF', () => {
  const blue = [0, 0, 255] as [number, number, number];

  test('what a frame leaves free of the canvas is white', async () => {
    const { data, width } = await decode(gifFile([8, 8], [2, 3, 4, 2], blue), 8);
    const inside = (x: number, y: number): boolean => x >= 2 && x < 6 && y >= 3 && y < 5;
    for (let y = 0; y < 8; y++) {
      for (let x = 0; x < 8; x++) {
        const from = (y * width + x) * 3;
        expect([...data.subarray(from, from + 3)]).toEqual(inside(x, y) ? blue : [255, 255, 255]);
      }
    }
  });

  test('a frame that fills the canvas is the picture', async () => {
    expect((await decode(gifFile([8, 8], [0, 0, 8, 8], blue), 8)).data).toEqual(
      Buffer.from(Array.from({ length: 64 }, () => blue).flat()),
    );
  });
});

import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import sharp, { type Color, type Sharp } from 'sharp';
import { UserError } from '../../src/base/errors.js';
import { float32, type HostTensor } from '../../src/base/tensor.js';
import { decode, type Picture, reasonOf, resizeImages, toBytes, writePng } from '../../src/data/pictures.js';
import { readEvalImage } from '../../src/data/reading.js';

let dir: string;
beforeAll(async () => {
  dir = await fs.mkdtemp(path.join(os.tmpdir(), 'pictures-'));
});
afterAll(() => fs.rm(dir, { recursive: true, force: true }));

const red = { r: 255, g: 0, b: 0 };

/** Left half red, right half blue. */
function halves(width: number, height: number): Sharp {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => {
    const isLeft = Math.floor(i / 3) % width < width / 2;
    return [isLeft ? 255 : 0, 0, isLeft ? 0 : 255][i % 3]!;
  });
  return sharp(data, { raw: { width, height, channels: 3 } });
}

function pixel({ data, width }: Picture, x: number, y: number): number[] {
  return [...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)];
}

function flat(width: number, height: number, channels: 3 | 4, background: Color): Sharp {
  return sharp({ create: { width, height, channels, background } });
}

describe('decode', () => {
  test('a picture of the right shape keeps every pixel', async () => {
    const data = Uint8Array.from({ length: 8 * 11 * 3 }, (_, i) => (i * 37) % 256);
    const png = await sharp(data, { raw: { width: 11, height: 8, channels: 3 } })
      .png()
      .toBuffer();
    expect(await decode(png, 8)).toMatchObject({ width: 11, height: 8 });
    expect(Buffer.compare((await decode(png, 8)).data, data)).toBe(0);
  });

  test.each([
    [40, 20, 10, 20, 10],
    [20, 50, 10, 10, 20],
    [5, 7, 10, 10, 14],
    [33, 47, 16, 16, 23],
    [1, 1, 8, 8, 8],
    [900, 9, 16, 32, 16],
    [3000, 1, 8, 16, 8],
  ])('%i×%i at size %i becomes %i×%i', async (w, h, size, width, height) => {
    const png = await flat(w, h, 3, red).png().toBuffer();
    const picture = await decode(png, size);
    expect([picture.width, picture.height]).toEqual([width, height]);
    expect(picture.data.length).toBe(width * height * 3);
  });

  test('a long picture is trimmed about its centre', async () => {
    const picture = await decode(await halves(400, 10).png().toBuffer(), 10);
    expect(pixel(picture, 8, 5)).toEqual([255, 0, 0]);
    expect(pixel(picture, 11, 5)).toEqual([0, 0, 255]);
  });

  test('a small picture is enlarged with its centre in place', async () => {
    const grey = [0, 110, 246, 152];
    const data = Uint8Array.from({ length: 4 * 4 * 3 }, (_, i) => grey[Math.floor(i / 3) % 4]!);
    const image = sharp(data, { raw: { width: 4, height: 4, channels: 3 } });
    const row = async (of: Sharp): Promise<number[]> => {
      const picture = await decode(await of.png().toBuffer(), 8);
      return Array.from({ length: 8 }, (_, x) => pixel(picture, x, 5)[0]!);
    };
    const byPillow = [0, 18, 76, 148, 228, 235, 173, 144];
    expect(await row(image.clone())).toEqual(byPillow);
    expect(await row(image.clone().flop())).toEqual(byPillow.toReversed());
  });

  test('a small long picture is enlarged and trimmed about its centre', async () => {
    const picture = await decode(await halves(120, 9).png().toBuffer(), 16);
    expect([picture.width, picture.height]).toEqual([32, 16]);
    const left = Array.from({ length: 16 }, (_, x) => pixel(picture, x, 8));
    const right = Array.from({ length: 16 }, (_, x) => pixel(picture, 31 - x, 8).reverse());
    expect(left).toEqual(right);
    expect(left[0]).toEqual([255, 0, 0]);
  });

  test('EXIF orientation is applied', async () => {
    const turned = await halves(16, 8).withMetadata({ orientation: 6 }).png().toBuffer();
    const picture = await decode(turned, 8);
    expect([picture.width, picture.height]).toEqual([8, 16]);
    expect(pixel(picture, 4, 1)).toEqual([255, 0, 0]);
    expect(pixel(picture, 4, 14)).toEqual([0, 0, 255]);
  });

  test('white stands under alpha', async () => {
    const half = await flat(8, 8, 4, { ...red, alpha: 0.5 })
      .png()
      .toBuffer();
    const [r, g, b] = pixel(await decode(half, 8), 3, 3);
    expect(r).toBe(255);
    expect(Math.abs(g! - 127.5)).toBeLessThan(2);
    expect(b).toBe(g);
    const clear = await flat(20, 20, 4, { ...red, alpha: 0 })
      .webp()
      .toBuffer();
    expect(pixel(await decode(clear, 8), 3, 3)).toEqual([255, 255, 255]);
  });

  test('grey, grey with alpha, 16 bits, CMYK and a palette become 8-bit RGB', async () => {
    const grey = { r: 100, g: 100, b: 100 };
    const pictures = [
      await flat(8, 8, 3, grey).toColourspace('b-w').png().toBuffer(),
      await flat(8, 8, 4, { ...grey, alpha: 1 })
        .toColourspace('b-w')
        .png()
        .toBuffer(),
      await flat(8, 8, 3, grey).toColourspace('rgb16').png().toBuffer(),
      await flat(8, 8, 4, { ...grey, alpha: 1 })
        .toColourspace('rgb16')
        .png()
        .toBuffer(),
      await flat(8, 8, 3, grey).toColourspace('grey16').png().toBuffer(),
      await flat(8, 8, 3, grey).toColourspace('cmyk').jpeg({ quality: 100 }).toBuffer(),
      await flat(8, 8, 3, grey).gif().toBuffer(),
    ];
    const spaces = await Promise.all(pictures.map(async (p) => (await sharp(p).metadata()).space));
    expect(spaces).toEqual(['b-w', 'b-w', 'rgb16', 'rgb16', 'grey16', 'cmyk', 'srgb']);
    for (const [i, picture] of pictures.entries()) {
      const decoded = await decode(picture, 8);
      expect(decoded.data.length).toBe(8 * 8 * 3);
      for (const value of pixel(decoded, 4, 4)) {
        expect(Math.abs(value - 100)).toBeLessThanOrEqual(spaces[i] === 'cmyk' ? 12 : 1);
      }
    }
  });

  test.each(['jpeg', 'png', 'webp', 'avif', 'gif', 'tiff'] as const)('reads %s', async (format) => {
    const picture = await decode(await halves(32, 16).toFormat(format).toBuffer(), 16);
    const [r, , b] = pixel(picture, 4, 8);
    expect(r).toBeGreaterThan(200);
    expect(b).toBeLessThan(60);
  });

  test('draws SVG at the size asked for', async () => {
    const svg =
      '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"><rect width="2" height="4" fill="#00f"/></svg>';
    const picture = await decode(Buffer.from(svg), 64);
    expect(pixel(picture, 31, 9)).toEqual([0, 0, 255]);
    expect(pixel(picture, 32, 9)).toEqual([255, 255, 255]);
  });

  test.each(['jpeg', 'png', 'webp'] as const)('refuses a %s that is cut off', async (format) => {
    const noise = Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * i * 31) % 251);
    const whole = await sharp(noise, { raw: { width: 64, height: 64, channels: 3 } })
      .toFormat(format)
      .toBuffer();
    await expect(decode(whole.subarray(0, whole.length / 2), 16)).rejects.toThrow();
  });
});

describe('readEvalImage', () => {
  test('takes the centre', async () => {
    const file = path.join(dir, 'wide.png');
    await halves(20, 8).png().toFile(file);
    const image = await readEvalImage(file, 8);
    expect(image.shape).toEqual([8, 8, 3]);
    expect([...image.data.slice(0, 3)]).toEqual([1, -1, -1]);
    expect([...image.data.slice(3 * 3, 3 * 5)]).toEqual([1, -1, -1, -1, -1, 1]);
  });

  test('names a file that is missing or no picture', async () => {
    const missing = path.join(dir, 'none.png');
    await expect(readEvalImage(missing, 8)).rejects.toThrow(UserError);
    await expect(readEvalImage(missing, 8)).rejects.toThrow(
      `Expected a picture for ${missing} but received no such file. Name a JPEG,`,
    );
    const text = path.join(dir, 'text.png');
    await fs.writeFile(text, 'not a picture');
    await expect(readEvalImage(text, 8)).rejects.toThrow('but received no picture that can be read.');
    await expect(readEvalImage(dir, 8)).rejects.toThrow('but received a folder.');
  });
});

/** 64 × 64 pixels, coded as HEVC. */
const heic =
  'AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJp' +
  'bG9jAAAAAERAAAEAAQAAAAABoAABAAAAAAAAACcAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAAB' +
  'AAAA/GlwcnAAAADcaXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEA' +
  'AQApQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNseAABAA0ABoAAAAAU' +
  'aXNwZQAAAAAAAABAAAAAQAAAAChjbGFwAAAAEAAAAAEAAAAQAAAAAf///9AAAAAC////0AAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlw' +
  'bWEAAAAAAAAAAQABBYECAwWEAAAAL21kYXQAAAAjKAGvBBITjOD46cJoP+dVfs2VlWPJ+0CrK+NJn3exGJKp/6A=';

describe('reasonOf', () => {
  const reasonFor = (file: Buffer): Promise<string> => decode(file, 8).then(() => 'none', reasonOf);

  test('HEIC: the way on', async () => {
    const reason = 'HEIC, for which no decoder is built in: save it as JPEG or PNG';
    expect(await reasonFor(Buffer.from(heic, 'base64'))).toBe(reason);
  });

  test('is of the file itself where several fail at a time', async () => {
    const cut = (await halves(300, 200).png({ compressionLevel: 0 }).toBuffer()).subarray(0, 9000);
    const files = Array.from({ length: 60 }, (_, i) => (i % 2 ? cut : Buffer.from(heic, 'base64')));
    const reasons = await Promise.all(files.map(reasonFor));
    expect(new Set(reasons.filter((_, i) => i % 2 === 0))).toEqual(
      new Set(['HEIC, for which no decoder is built in: save it as JPEG or PNG']),
    );
    expect(new Set(reasons.filter((_, i) => i % 2))).toEqual(new Set([await reasonFor(cut)]));
  });

  test('is the last line of what sharp says', async () => {
    const avif = await halves(32, 16).avif().toBuffer();
    expect(await reasonFor(avif.subarray(0, 100))).toMatch(/^heif: Invalid input/);
    expect(reasonOf(new Error('Input buffer has corrupt header: VipsJpeg: one\nVipsJpeg: two\n'))).toBe(
      'VipsJpeg: two',
    );
  });
});

test('resizeImages keeps the centre of what it enlarges and of what it shrinks', async () => {
  const side = 6;
  const values = Float32Array.from({ length: side * side * 3 }, (_, i) => ((i * i) % 29) / 14.5 - 1);
  const mirrored = (data: HostTensor['data'], width: number): number[] =>
    Array.from(data, (_, i) => {
      const x = Math.floor(i / 3) % width;
      return data[i + 3 * (width - 1 - 2 * x)]! as number;
    });
  for (const size of [3, 8, 12]) {
    const there = await resizeImages(float32([1, side, side, 3], values), size);
    const flipped = Float32Array.from(mirrored(values, side));
    const back = await resizeImages(float32([1, side, side, 3], flipped), size);
    expect(there.shape).toEqual([1, size, size, 3]);
    expect(mirrored(back.data, size)).toEqual([...there.data]);
  }
});

describe('PNGs', () => {
  const every = float32(
    [16, 16, 3],
    Float32Array.from({ length: 768 }, (_, i) => (i % 256) / 127.5 - 1),
  );

  test('bytes are rounded and clamped', () => {
    expect([...toBytes(float32([4], [-3, 1.5, 0.999, -0.999]))]).toEqual([0, 255, 255, 0]);
    expect([...toBytes(every)]).toEqual(Array.from({ length: 768 }, (_, i) => i % 256));
  });

  test('what is written is what is read', async () => {
    const file = path.join(dir, 'new', 'every.png');
    await writePng(file, every);
    expect((await readEvalImage(file, 16)).data).toEqual(every.data);
    expect(await fs.readdir(path.dirname(file))).toEqual(['every.png']);
  });
});

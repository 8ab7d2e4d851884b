/** Picture files that sharp cannot write, byte by byte, and matrix profiles. */
import { crc32, deflateSync } from 'node:zlib';

export interface Raster {
  width: number;
  height: number;
  /** 1 grey, 2 with alpha, 3 RGB, 4 with alpha; TIFFs may have more. */
  channels: number;
  /** Row by row; `Float32Array` for TIFF only. */
  samples: Uint8Array | Uint16Array | Float32Array | Int16Array;
  icc?: Buffer;
}

const big = (bytes: number, value: number): Buffer => {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntBE(value, 0, bytes);
  return buffer;
};

/** `samples` with their highest byte first, or last. */
function ordered(samples: Raster['samples'], isLittle: boolean): Buffer {
  const bytes = Buffer.from(Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength));
  const size = samples.BYTES_PER_ELEMENT;
  if (!isLittle && size === 2) bytes.swap16();
  if (!isLittle && size === 4) bytes.swap32();
  return bytes;
}

export function pngFile({ width, height, channels, samples, icc }: Raster): Buffer {
  const size = samples.BYTES_PER_ELEMENT;
  const bytes = ordered(samples, false);
  const row = width * channels * size;
  const rows = Array.from({ length: height }, (_, y) => [
    Buffer.of(0),
    bytes.subarray(y * row, (y + 1) * row),
  ]);
  const chunk = (type: string, data: Buffer): Buffer => {
    const body = Buffer.concat([Buffer.from(type), data]);
    return Buffer.concat([big(4, data.length), body, big(4, crc32(body))]);
  };
  const kind = [0, 0, 4, 2, 6][channels]!;
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
    chunk('IHDR', Buffer.concat([big(4, width), big(4, height), Buffer.of(8 * size, kind, 0, 0, 0)])),
    ...(icc ? [chunk('iCCP', Buffer.concat([Buffer.from('x\0\0', 'latin1'), deflateSync(icc)]))] : []),
    chunk('IDAT', deflateSync(Buffer.concat(rows.flat()))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

export interface TiffOptions {
  /** The meaning of each band after the colours: 0 unspecified, 1 premultiplied alpha, 2 alpha. */
  extra?: number[];
  isLittle?: boolean;
  /** BigTIFF. */
  isBig?: boolean;
  orientation?: number;
}

export function tiffFile(raster: Raster, o: TiffOptions = {}): Buffer {
  const { width, height, channels, samples, icc } = raster;
  const { extra = [], isLittle = true, isBig = false, orientation = 1 } = o;
  const word = isBig ? 8 : 4;
  const number = (value: number, bytes: number): Buffer => {
    const buffer = big(bytes, value % 2 ** 32);
    return isLittle ? buffer.reverse() : buffer;
  };
  const long = (value: number): Buffer =>
    isBig
      ? Buffer.concat(isLittle ? [number(value, 4), number(0, 4)] : [number(0, 4), number(value, 4)])
      : number(value, 4);
  const shorts = (...values: number[]): Buffer => Buffer.concat(values.map((value) => number(value, 2)));
  const isSigned = samples instanceof Int16Array;
  const format = samples instanceof Float32Array ? 3 : isSigned ? 2 : 1;
  const start = isBig ? 16 : 8;
  const pixels = ordered(samples, isLittle);
  const tags: [tag: number, type: number, count: number, value: Buffer][] = [
    [256, 3, 1, shorts(width)],
    [257, 3, 1, shorts(height)],
    [258, 3, channels, shorts(...Array<number>(channels).fill(8 * samples.BYTES_PER_ELEMENT))],
    [259, 3, 1, shorts(1)],
    [262, 3, 1, shorts(channels - extra.length >= 3 ? 2 : 1)],
    [273, 4, 1, number(start, 4)],
    [274, 3, 1, shorts(orientation)],
    [277, 3, 1, shorts(channels)],
    [278, 3, 1, shorts(height)],
    [279, 4, 1, number(pixels.length, 4)],
  ];
  if (extra.length) tags.push([338, 3, extra.length, shorts(...extra)]);
  tags.push([339, 3, channels, shorts(...Array<number>(channels).fill(format))]);
  if (icc) tags.push([34675, 7, icc.length, icc]);
  const pad = (bytes: Buffer, to: number): Buffer => Buffer.concat([bytes, Buffer.alloc(to - bytes.length)]);
  let beyond = start + pixels.length;
  const far: Buffer[] = [];
  const entries = tags.map(([tag, type, count, value]) => {
    const isFar = value.length > word;
    const field = isFar ? long(beyond) : pad(value, word);
    if (isFar) {
      far.push(value);
      beyond += value.length;
    }
    return Buffer.concat([shorts(tag, type), long(count), field]);
  });
  const mark = isBig ? shorts(43, 8, 0) : shorts(42);
  const head = Buffer.concat([Buffer.from(isLittle ? 'II' : 'MM'), mark, long(beyond)]);
  const count = isBig ? long(entries.length) : shorts(entries.length);
  return Buffer.concat([head, pixels, ...far, count, ...entries, long(0)]);
}

/** A GIF of one frame of one colour, at a place of its canvas. */
export function gifFile(
  canvas: [width: number, height: number],
  [left, top, width, height]: [left: number, top: number, width: number, height: number],
  colour: [number, number, number],
): Buffer {
  const short = (value: number): Buffer => Buffer.of(value & 255, value >> 8);
  const shorts = (...values: number[]): Buffer => Buffer.concat(values.map(short));
  // Codes of three bits, the table cleared (4) before each pixel (0), then the end (5).
  const codes = [...Array.from({ length: width * height }, () => [4, 0]).flat(), 4, 5];
  const packed = Buffer.alloc(Math.ceil((codes.length * 3) / 8));
  codes.forEach((code, i) => {
    for (let k = 0; k < 3; k++) if ((code >> k) & 1) packed[(3 * i + k) >> 3]! |= 1 << ((3 * i + k) & 7);
  });
  const blocks = [];
  for (let at = 0; at < packed.length; at += 255) {
    const block = packed.subarray(at, at + 255);
    blocks.push(Buffer.of(block.length), block);
  }
  const comment = Buffer.concat([Buffer.of(0x21, 0xfe, 2), Buffer.from('hi'), Buffer.of(0)]);
  return Buffer.concat([
    Buffer.from('GIF89a'),
    shorts(...canvas),
    Buffer.of(0x81, 0, 0, ...colour, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    comment,
    Buffer.of(0x2c),
    shorts(left, top, width, height),
    Buffer.of(0, 2),
    ...blocks,
    Buffer.of(0, 0x3b),
  ]);
}

type Triple = readonly [number, number, number];

/** XYZ of red, green and blue, adapted to D50. */
const primaries = {
  srgb: [
    [0.4361, 0.2225, 0.0139],
    [0.3851, 0.7169, 0.0971],
    [0.1431, 0.0606, 0.7141],
  ],
  adobe: [
    [0.60974, 0.31111, 0.01947],
    [0.20528, 0.62567, 0.06087],
    [0.14919, 0.06322, 0.74457],
  ],
  prophoto: [
    [0.7977, 0.288, 0],
    [0.1352, 0.7119, 0],
    [0.0313, 0.0001, 0.8249],
  ],
} satisfies Record<string, readonly Triple[]>;

/** An ICC profile of a gamma, of those primaries or of grey. */
export function profile(space: keyof typeof primaries | 'grey', gamma: number): Buffer {
  const fixed = (value: number): Buffer => big(4, Math.round(value * 65536));
  const xyz = (values: Triple): Buffer => Buffer.concat([Buffer.from('XYZ \0\0\0\0'), ...values.map(fixed)]);
  const curve = Buffer.concat([
    Buffer.from('curv\0\0\0\0'),
    big(4, 1),
    big(2, Math.round(gamma * 256)),
    big(2, 0),
  ]);
  const white: Triple = [0.9642, 1, 0.8249];
  const columns = space === 'grey' ? [] : primaries[space];
  const tags: [string, Buffer][] = [
    ['wtpt', xyz(white)],
    ...columns.map((column, i): [string, Buffer] => [`${'rgb'[i]}XYZ`, xyz(column as unknown as Triple)]),
    ...(space === 'grey' ? ['kTRC'] : ['rTRC', 'gTRC', 'bTRC']).map((tag): [string, Buffer] => [tag, curve]),
  ];
  let at = 128 + 4 + 12 * tags.length;
  const table = tags.map(([tag, data]) => {
    at += data.length;
    return Buffer.concat([Buffer.from(tag), big(4, at - data.length), big(4, data.length)]);
  });
  const head = Buffer.alloc(128);
  head.writeUInt32BE(at, 0);
  head.writeUInt32BE(0x02400000, 8);
  head.write(`mntr${space === 'grey' ? 'GRAY' : 'RGB '}XYZ `, 12, 'latin1');
  head.write('acsp', 36, 'latin1');
  Buffer.concat(white.map(fixed)).copy(head, 68);
  return Buffer.concat([head, big(4, tags.length), ...table, ...tags.map(([, data]) => data)]);
}

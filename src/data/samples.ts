/**
 * Pictures that the decoder alone reads otherwise than they are meant, read to plain samples: 16 bits with a colour
 * profile, TIFFs of floats or with bands beside colour and alpha, GIFs whose first frame leaves some canvas free.
 */
import sharp, { type Metadata, type Sharp, type SharpOptions } from 'sharp';

/** Damaged files are errors, and never half a picture. */
const strict: SharpOptions = { failOn: 'error' };

export interface Opened {
  /** Upright; sRGB or what is taken to it without loss of meaning, perhaps with alpha. */
  readonly image: Sharp;
  /** Pixels, of the upright picture. */
  readonly width: number;
  readonly height: number;
  /** Drawn anew at every size (SVG). */
  readonly scalable: boolean;
}

/** @throws Error in words about a file that is no picture, or whose samples have no sure meaning as colours */
export async function open(file: Buffer): Promise<Opened> {
  const image = sharp(file, strict).autoOrient();
  const meta = await image.metadata();
  const plain = { image, ...meta.autoOrient, scalable: meta.format === 'svg' };
  if (meta.format === 'gif') return (await wholeCanvas(file, meta)) ?? plain;

  const of16Bits = meta.depth === 'ushort' && (meta.space === 'rgb16' || meta.space === 'grey16');
  const ofFloats = meta.depth === 'float' && ['scrgb', 'b-w', 'grey16'].includes(meta.space);
  if (['char', 'short', 'int', 'uint'].includes(meta.depth) && meta.space !== 'labs') {
    throw new Error(`samples of type ${meta.depth}: save it with 8 or 16 bits, without a sign`);
  }
  const extra = meta.format === 'tiff' ? extraSamples(file) : [];
  const isOther = extra.length > 1 || extra[0] === 0;
  if (!ofFloats && !isOther && !(of16Bits && meta.icc)) return plain;
  if (ofFloats) await checkFloats(file, meta);
  const read = ofFloats
    ? floats(file, meta)
    : of16Bits
      ? words(file, meta)
      : image.toColourspace('srgb').raw();
  return { ...plain, image: await withoutOthers(read, extra) };
}

/**
 * sharp takes RGB of 16 bits to Display P3 and calls it sRGB, and looks at no profile of 16-bit grey. Here the file's
 * own profile is what the output profile starts from. Without a profile it can read, libvips would assume Display P3.
 */
function words(file: Buffer, { icc, space }: Metadata): Sharp {
  const image = sharp(file, { ...strict, ignoreIcc: true })
    .autoOrient()
    .toColourspace(space);
  const colours = space === 'rgb16' ? 'RGB ' : 'GRAY';
  const isProfile = icc?.toString('latin1', 36, 40) === 'acsp' && icc.toString('latin1', 16, 20) === colours;
  return (isProfile ? image.withIccProfile('srgb') : image).raw({ depth: 'ushort' });
}

/** Floats of 0 to 1 count as brightness on a screen, 0 to 255, as array libraries write them; not as linear light. */
function floats(file: Buffer, { space, channels }: Metadata): Sharp {
  const top = space === 'grey16' ? 65535 : 255;
  return sharp(file, strict)
    .autoOrient()
    .linear(Array(channels).fill(top), Array(channels).fill(0.5))
    .toColourspace(space === 'b-w' ? 'srgb' : space)
    .raw({ depth: space === 'grey16' ? 'ushort' : 'uchar' });
}

async function checkFloats(file: Buffer, { icc }: Metadata): Promise<void> {
  if (icc) throw new Error('floats with a colour profile: save it with 8 or 16 bits');
  const { channels } = await sharp(file, strict).stats();
  if (channels.some(({ mean }) => !Number.isFinite(mean)))
    throw new Error('floats that are no finite numbers');
  const least = Math.min(...channels.map(({ min }) => min));
  const most = Math.max(...channels.map(({ max }) => max));
  if (least < 0 || most > 1) throw new Error(`floats of ${least} to ${most}: 0 to 1 can be read`);
}

/** @param extra what each band after the colours is, by TIFF: 1 and 2 are alpha, all else is none */
async function withoutOthers(image: Sharp, extra: readonly number[]): Promise<Sharp> {
  const { data, info } = await image.toBuffer({ resolveWithObject: true });
  const { width, height, channels: bands } = info as Record<'width' | 'height' | 'channels', number>;
  const colours = bands - extra.length;
  const alpha = extra.findIndex((kind) => kind === 1 || kind === 2);
  const kept = Array.from({ length: colours }, (_, band) => band);
  if (alpha >= 0) kept.push(colours + alpha);
  const pixels = width * height;
  const ofWords = data.length === 2 * pixels * bands;
  const samples = ofWords ? new Uint16Array(new Uint8Array(data).buffer) : data;
  const result = new (ofWords ? Uint16Array : Uint8Array)(pixels * kept.length);
  for (let i = 0, to = 0; i < pixels; i++) for (const band of kept) result[to++] = samples[i * bands + band]!;
  return sharp(result, { raw: { width, height, channels: kept.length as 1 | 2 | 3 | 4 } });
}

const extraSamplesTag = 338;

/** What a TIFF says of the bands after the colours of its first picture: 0 unspecified, 1 and 2 alpha. */
export function extraSamples(tiff: Buffer): readonly number[] {
  const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.length);
  const isLittle = tiff[0] === 0x49;
  const isBig = view.getUint16(2, isLittle) === 43;
  const word = isBig ? 8 : 4;
  const short = (at: number): number => view.getUint16(at, isLittle);
  const long = (at: number): number =>
    isBig ? Number(view.getBigUint64(at, isLittle)) : view.getUint32(at, isLittle);
  const directory = long(word);
  const entries = isBig ? long(directory) : short(directory);
  for (let i = 0; i < entries; i++) {
    const entry = directory + (isBig ? 8 + 20 * i : 2 + 12 * i);
    if (short(entry) !== extraSamplesTag) continue;
    const count = long(entry + 4);
    const values = entry + 4 + word;
    const from = 2 * count > word ? long(values) : values;
    return Array.from({ length: count }, (_, k) => short(from + 2 * k));
  }
  return [];
}

/** What the first frame of a GIF leaves free of the canvas is white, as what lies under alpha. */
async function wholeCanvas(file: Buffer, { width, height }: Metadata): Promise<Opened | undefined> {
  const frame = firstFrame(file);
  const right = width - frame.left - frame.width;
  const bottom = height - frame.top - frame.height;
  if (frame.left <= 0 && frame.top <= 0 && right <= 0 && bottom <= 0) return undefined;
  const { left, top } = frame;
  const { data, info } = await sharp(file, strict)
    .flatten({ background: 'white' })
    .extract({ left, top, width: width - left - right, height: height - top - bottom })
    .extend({ left, top, right, bottom, background: 'white' })
    .raw()
    .toBuffer({ resolveWithObject: true });
  const { channels } = info;
  return { image: sharp(data, { raw: { width, height, channels } }), width, height, scalable: false };
}

/** Where the first frame of a GIF lies on its canvas, in pixels. */
export function firstFrame(gif: Buffer): { left: number; top: number; width: number; height: number } {
  const colours = (flags: number): number => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  let at = 13 + colours(gif[10]!);
  while (gif[at] === 0x21) {
    at += 2;
    while (gif[at]) at += gif[at]! + 1;
    at++;
  }
  const [left, top, width, height] = [1, 3, 5, 7].map((offset) => gif.readUInt16LE(at + offset));
  return { left: left!, top: top!, width: width!, height: height! };
}

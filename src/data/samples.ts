/**
 * Pictures that the decoder alone reads otherwise than they are meant, read to plain samples: 16 bits with a colour
 * profile, TIFFs of floats or with bands beside colour and alpha, GIFs whose first frame leaves some canvas free.
 */
import sharp, { type Metadata, type Sharp, type SharpOptions } from 'sharp';

/** Damaged files are errors, and never half a picture. */
const strict: SharpOptions = { failOn: 'error' };

const wayOn = 'save it with 8 or 16 bits a channel';

export interface Opened {
  /** Upright; sRGB or what is taken to it without loss of meaning, perhaps with alpha. */
  readonly image: Sharp;
  /** Pixels, of the upright picture. */
  readonly width: number;
  readonly height: number;
}

/** @param file no SVG. @throws Error in words about one that is no picture, or whose samples have no sure meaning as colours */
export async function open(file: Buffer): Promise<Opened> {
  const image = sharp(file, strict).autoOrient();
  const meta = await image.metadata();
  if (meta.format === 'svg') throw new Error('internal: a drawing that is not known as one');
  const plain = { image, ...meta.autoOrient };
  if (meta.format === 'gif') return (await wholeCanvas(file, meta)) ?? plain;

  const of16Bits = meta.depth === 'ushort' && (meta.space === 'rgb16' || meta.space === 'grey16');
  const ofFloats = meta.depth === 'float' && ['scrgb', 'b-w', 'grey16'].includes(meta.space);
  if (['char', 'short', 'int', 'uint'].includes(meta.depth) && meta.space !== 'labs') {
    throw new Error(`values of type ${meta.depth}: ${wayOn}`);
  }
  const extra = meta.format === 'tiff' ? extraSamples(file) : [];
  const hasOther = extra.length > 1 || extra[0] === 0;
  if (ofFloats) return { ...plain, image: await floats(file, meta, extra) };
  if (of16Bits && (hasOther || meta.icc)) return { ...plain, image: await without(words(file, meta), extra) };
  return hasOther ? { ...plain, image: await without(image.toColourspace('srgb').raw(), extra) } : plain;
}

/**
 * sharp takes RGB of 16 bits to Display P3 and calls it sRGB, and looks at no profile of 16-bit grey. Here the output
 * profile is reached from the file's own. From a damaged one it would be reached as if from Display P3.
 */
function words(file: Buffer, { icc, space }: Metadata): Sharp {
  const image = sharp(file, { ...strict, ignoreIcc: true })
    .autoOrient()
    .toColourspace(space);
  const isWhole = icc && isProfile(icc, space === 'rgb16' ? 'RGB ' : 'GRAY');
  return (isWhole ? image.withIccProfile('srgb') : image).raw({ depth: 'ushort' });
}

/** Whether these bytes are a whole ICC profile for such a picture, as far as its head tells. */
function isProfile(icc: Buffer, colours: 'RGB ' | 'GRAY'): boolean {
  if (icc.length < 128 || icc.readUInt32BE(0) > icc.length) return false;
  return icc.toString('latin1', 36, 40) === 'acsp' && icc.toString('latin1', 16, 20) === colours;
}

/** Floats of 0 to 1 count as brightness on a screen, 0 to 255, as array libraries write them; not as linear light. */
async function floats(file: Buffer, meta: Metadata, extra: readonly number[]): Promise<Sharp> {
  const { space, channels, icc } = meta;
  const refused = (what: string): Error => new Error(`floating-point values ${what}: ${wayOn}`);
  if (icc) throw refused('with a colour profile');
  if (space === 'grey16') throw refused('of half precision');
  const { width, height } = meta.autoOrient;
  const kept = coloursAndAlpha(channels, extra);
  const result = new Uint8Array(width * height * kept.length);
  for (const [to, band] of kept.entries()) {
    const image = sharp(file, strict)
      .autoOrient()
      .toColourspace(space)
      .extractChannel(band as 0 | 1 | 2 | 3);
    const bytes = new Uint8Array(await image.raw({ depth: 'float' }).toBuffer());
    for (const [i, value] of new Float32Array(bytes.buffer).entries()) {
      if (!(value >= 0 && value <= 1)) throw refused(`beyond 0 to 1 (${Number(value.toPrecision(3))})`);
      result[i * kept.length + to] = Math.round(255 * value);
    }
  }
  return rawImage(result, width, height, kept.length);
}

/** Only the colours and alpha of what `image` reads as raw bytes or words. */
async function without(image: Sharp, extra: readonly number[]): Promise<Sharp> {
  const { data, info } = await image.toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  const bands: number = info.channels;
  const kept = coloursAndAlpha(bands, extra);
  const pixels = width * height;
  const ofWords = data.length === 2 * pixels * bands;
  const samples = ofWords ? new Uint16Array(new Uint8Array(data).buffer) : data;
  const result = new (ofWords ? Uint16Array : Uint8Array)(pixels * kept.length);
  for (let i = 0, to = 0; i < pixels; i++) for (const band of kept) result[to++] = samples[i * bands + band]!;
  return rawImage(result, width, height, kept.length);
}

/** @param extra what each band after the colours is, by TIFF: 1 and 2 are alpha, all else is none */
function coloursAndAlpha(bands: number, extra: readonly number[]): number[] {
  const colours = bands - extra.length;
  const alpha = extra.findIndex((kind) => kind === 1 || kind === 2);
  const kept = Array.from({ length: colours }, (_, band) => band);
  return alpha < 0 ? kept : [...kept, colours + alpha];
}

function rawImage(samples: Uint8Array | Uint16Array, width: number, height: number, channels: number): Sharp {
  return sharp(samples, { raw: { width, height, channels: channels as 1 | 2 | 3 | 4 } });
}

const extraSamplesTag = 338;

/** What a TIFF says of the bands after the colours of its first picture: 0 unspecified, 1 and 2 alpha. */
function extraSamples(tiff: Buffer): readonly number[] {
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
  if (!frame) return undefined;
  const { left, top } = frame;
  const right = Math.max(0, width - left - frame.width);
  const bottom = Math.max(0, height - top - frame.height);
  if (left + top + right + bottom === 0) return undefined;
  const { data, info } = await sharp(file, strict)
    .flatten({ background: 'white' })
    .extract({ left, top, width: width - left - right, height: height - top - bottom })
    .extend({ left, top, right, bottom, background: 'white' })
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { image: rawImage(data, width, height, info.channels), width, height };
}

/** Where the first frame of a GIF lies on its canvas, in pixels; undefined where other blocks stand than GIF has. */
function firstFrame(gif: Buffer): Record<'left' | 'top' | 'width' | 'height', number> | undefined {
  const flags = gif[10] ?? 0;
  let at = 13 + (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  while (gif[at] === 0x21) {
    at += 2;
    for (let size = gif[at]; size; size = gif[at]) at += size + 1;
    at++;
  }
  if (gif[at] !== 0x2c || at + 9 > gif.length) return undefined;
  const short = (offset: number): number => gif.readUInt16LE(at + offset);
  return { left: short(1), top: short(3), width: short(5), height: short(7) };
}

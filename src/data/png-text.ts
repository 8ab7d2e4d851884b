/** The text that vqgen keeps in a PNG: a chunk `tEXt` of its own, which programs that show pictures pass over. */
import { crc32 } from 'node:zlib';

const signature = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
const keyword = 'vqgen';
const opening = Buffer.from(`tEXt${keyword}\0`, 'latin1');

/** Of a chunk: its length before its name, and its checksum behind its data. */
const [before, name, behind] = [4, 4, 4];
/** The signature and IHDR, which must come first. */
const headBytes = signature.length + before + name + 13 + behind;

/** @param text ASCII, of which nothing acts */
export function withText(png: Buffer, text: string): Buffer {
  const named = Buffer.concat([opening, Buffer.from(text, 'latin1')]);
  const chunk = Buffer.alloc(before + named.length + behind);
  chunk.writeUInt32BE(named.length - name, 0);
  named.copy(chunk, before);
  chunk.writeUInt32BE(crc32(named), before + named.length);
  return Buffer.concat([png.subarray(0, headBytes), chunk, png.subarray(headBytes)]);
}

/**
 * The text of a PNG, wherever in it; undefined where it has none.
 *
 * @param most bytes
 * @throws Error `which is no PNG` and the like, for one that ends too early and text that is damaged or too long too
 */
export function textIn(png: Buffer, most: number): string | undefined {
  if (!png.subarray(0, signature.length).equals(signature)) throw new Error('which is no PNG');
  for (let at = signature.length; at < png.length; ) {
    if (at + before + name > png.length) throw new Error('which is cut off');
    const named = png.subarray(at + before, at + before + name + png.readUInt32BE(at));
    if (named.toString('latin1', 0, name) === 'IEND') return undefined;
    const end = at + before + name + png.readUInt32BE(at) + behind;
    if (end > png.length) throw new Error('which is cut off');
    if (named.subarray(0, opening.length).equals(opening)) {
      const text = named.subarray(opening.length);
      if (text.length > most) throw new Error(`whose text of vqgen is longer than ${most} bytes`);
      if (crc32(named) !== png.readUInt32BE(end - behind))
        throw new Error('whose text of vqgen is damaged: its checksum does not fit');
      return text.toString('latin1');
    }
    at = end;
  }
  return undefined;
}

/** Which files are taken for pictures, and which are nobody's business. */
import path from 'node:path';

/** BMP, HEIC, PPM and the like are looked at too: whoever has them hears that they cannot be read. */
const pictures = wordSet(
  '.jpg .jpeg .jpe .jfif .png .webp .gif .avif .tif .tiff .svg .svgz .bmp .heic .heif .jxl .jp2 .ppm .pgm .pbm .pnm',
);

/** Copies and pieces of pictures, and the thumbnails that cameras write: no pictures, whatever their first bytes. */
const copies = wordSet('.bak .old .orig .tmp .temp .part .partial .crdownload .download .thm');

const litter = new Set(
  [
    ...['Thumbs.db', 'ehthumbs.db', 'desktop.ini', 'Icon\r', '__MACOSX', '@eaDir', '#recycle', '@Recycle'],
    ...['$RECYCLE.BIN', 'System Volume Information', 'lost+found', 'Picasa.ini'],
  ].map((name) => name.toLowerCase()),
);

function wordSet(words: string): ReadonlySet<string> {
  return new Set(words.split(' '));
}

/** Hidden files and what systems leave in folders. */
export const isLitter = (name: string): boolean => name.startsWith('.') || litter.has(name.toLowerCase());

/** With its dot, in small letters. */
export const endingOf = (name: string): string => path.extname(name).toLowerCase();

export const hasPictureEnding = (name: string): boolean => pictures.has(endingOf(name));

/** Of a file, by which `isPictureInside` knows it. */
export const headBytes = 12;

/**
 * Whether a regular file without a picture's ending is one by its first bytes: JPEG, PNG, GIF, WebP or AVIF. TIFF
 * counts only without any ending, as the raw files of cameras begin like it.
 */
export function isPictureInside(name: string, readHead: () => Buffer): boolean {
  const ending = endingOf(name);
  if (copies.has(ending) || name.endsWith('~')) return false;
  const head = readHead().toString('latin1', 0, headBytes);
  const begins = (...starts: string[]): boolean => starts.some((start) => head.startsWith(start));
  const form = head.slice(8);
  return (
    begins('\xff\xd8\xff', '\x89PNG\r\n\x1a\n', 'GIF87a', 'GIF89a') ||
    (begins('RIFF') && form === 'WEBP') ||
    (head.slice(4, 8) === 'ftyp' && ['avif', 'avis'].includes(form)) ||
    (ending === '' && begins('II*\0', 'MM\0*'))
  );
}

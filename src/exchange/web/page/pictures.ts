/** Pictures on a page: shown, saved, and read from a file of the user's. */
import { button, element } from './dom.js';
import type { Picture } from './messages.js';

/** @param image [S, S, 3] in [−1, 1]; bytes as `vqgen sample` rounds them */
export function show(canvas: HTMLCanvasElement, image: Float32Array): void {
  const size = Math.sqrt(image.length / 3);
  Object.assign(canvas, { width: size, height: size });
  const bytes = bytesOf(image);
  canvas.getContext('2d')?.putImageData(new ImageData(bytes, size, size), 0, 0);
}

function bytesOf(image: Float32Array): Uint8ClampedArray<ArrayBuffer> {
  const bytes = new Uint8ClampedArray((4 * image.length) / 3).fill(255);
  for (let i = 0; i < image.length; i++)
    bytes[Math.floor(i / 3) * 4 + (i % 3)] = ((image[i] ?? 0) + 1) * 127.5;
  return bytes;
}

export interface FigureOptions {
  /** For people, also those who hear it: `Picture 3, cat`. */
  readonly name: string;
  /** Of the file, without its ending. */
  readonly file: string;
  /** Left out of a picture that nothing can be done with. */
  readonly onUse?: () => void;
}

/** A picture with its name and what can be done with it. */
export function figureOf({ image, codes }: Picture, { name, file, onUse }: FigureOptions): HTMLElement {
  const canvas = element('canvas', { role: 'img', ariaLabel: name });
  show(canvas, image);
  const figure = element('figure', {}, canvas, element('figcaption', {}, name));
  if (codes) figure.dataset.codes = codes.join(' ');
  if (onUse) figure.append(button('Change', `Change ${name}`, onUse));
  figure.append(button('Save PNG', `Save ${name} as PNG`, () => save(canvas, `${file}.png`)));
  return figure;
}

function save(canvas: HTMLCanvasElement, name: string): void {
  canvas.toBlob((png) => {
    if (!png) return;
    const href = URL.createObjectURL(png);
    element('a', { href, download: name }).click();
    URL.revokeObjectURL(href);
  }, 'image/png');
}

/**
 * The middle square of a picture, [S, S, 3] in [−1, 1].
 *
 * @throws Error where the browser knows no picture in it
 */
export async function readPicture(file: File, size: number): Promise<Float32Array> {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name} is no picture that this browser reads.`);
  });
  const side = Math.min(bitmap.width, bitmap.height);
  const [left, top] = [(bitmap.width - side) / 2, (bitmap.height - side) / 2];
  const context = element('canvas', { width: size, height: size }).getContext('2d');
  if (!context) throw new Error('This browser gives no canvas to read a picture with.');
  context.fillStyle = '#fff'; // behind what is transparent
  context.fillRect(0, 0, size, size);
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, left, top, side, side, 0, 0, size, size);
  const { data } = context.getImageData(0, 0, size, size);
  const image = new Float32Array(size * size * 3);
  for (let i = 0; i < image.length; i++) image[i] = (data[Math.floor(i / 3) * 4 + (i % 3)] ?? 0) / 127.5 - 1;
  return image;
}

/** Calls `use` with each picture that is chosen in a file input. */
export function onPicture(input: HTMLInputElement, size: number, use: (image: Float32Array) => void): void {
  input.addEventListener('change', async () => {
    const [file] = input.files ?? [];
    if (!file) return;
    input.setCustomValidity('');
    try {
      use(await readPicture(file, size));
    } catch (error) {
      input.setCustomValidity((error as Error).message);
      input.reportValidity();
    }
  });
}

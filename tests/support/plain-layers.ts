/** Layers as loops over nested lists: what a program computes, by another way. */

/** [B, H, W, C]. */
export type Image = number[][][][];

/** Filters [k, k, in, out]. */
export function plainConv(x: Image, w: Image, bias: number[], stride: number, pad: number): Image {
  const side = (x[0]!.length + 2 * pad - w.length) / stride + 1;
  const n = (count: number) => Array.from({ length: count }, (_, i) => i);
  return x.map((image) =>
    n(side).map((row) =>
      n(side).map((column) =>
        bias.map((b, out) => {
          let sum = b;
          for (const i of n(w.length))
            for (const j of n(w.length))
              for (const [c, filter] of w[i]![j]!.entries())
                sum += (image[row * stride + i - pad]?.[column * stride + j - pad]?.[c] ?? 0) * filter[out]!;
          return sum;
        }),
      ),
    ),
  );
}

/** Every pixel of x lays the filter, times itself, onto the result: filters [4, 4, out, in]. */
export function plainDoubling(x: Image, w: Image, bias: number[]): Image {
  const side = 2 * x[0]!.length;
  return x.map((image) => {
    const y = Array.from({ length: side }, () => Array.from({ length: side }, () => [...bias]));
    for (const [r, row] of image.entries())
      for (const [c, pixel] of row.entries())
        for (let i = 0; i < 4; i++)
          for (let j = 0; j < 4; j++)
            for (const out of bias.keys()) {
              const target = y[2 * r + i - 1]?.[2 * c + j - 1];
              if (target) target[out]! += pixel.reduce((sum, v, k) => sum + v * w[i]![j]![out]![k]!, 0);
            }
    return y;
  });
}

const each = (x: Image, f: (v: number, at: [number, number, number, number]) => number): Image =>
  x.map((a, b) => a.map((row, i) => row.map((pixel, j) => pixel.map((v, c) => f(v, [b, i, j, c])))));
export const relu = (x: Image) => each(x, (v) => Math.max(0, v));
export const plus = (x: Image, y: Image) => each(x, (v, [b, i, j, c]) => v + y[b]![i]![j]![c]!);
export const beside = (x: Image, y: Image): Image =>
  x.map((a, b) => a.map((row, i) => row.map((pixel, j) => [...pixel, ...y[b]![i]![j]!])));

/** Nearest rows, and what they are the numbers of. */
export function quantised(x: Image, book: number[][]) {
  const distance = (pixel: number[], code: number[]) =>
    pixel.reduce((sum, v, d) => sum + (v - code[d]!) ** 2, 0);
  const codes = x.map((a) =>
    a.map((row) =>
      row.map((pixel) => {
        const all = book.map((code) => distance(pixel, code));
        return all.indexOf(Math.min(...all));
      }),
    ),
  );
  const q = codes.map((a) => a.map((row) => row.map((code) => book[code]!)));
  const errors = x.flat(2).map((pixel, i) => distance(pixel, q.flat(2)[i]!));
  return { codes, q, error: errors.reduce((a, b) => a + b, 0) / (errors.length * book[0]!.length) };
}

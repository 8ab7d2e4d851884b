import { colourShifts, ninetieth } from '../../src/data/mean-colour.js';
import { patternOf, patternWarning, Spectrum } from '../../src/data/pattern.js';

const size = 32;

/** Grey 128 with points in each line: [place, how much more red, green, blue]. */
function pictureOf(...points: readonly (readonly [number, number, number, number])[]): Uint8Array {
  const rgb = new Uint8Array(size * size * 3).fill(128);
  for (let y = 0; y < size; y++)
    for (const [x, ...more] of points)
      for (const [c, v] of more.entries()) rgb[3 * (y * size + ((x + y) % size)) + c]! += v;
  return rgb;
}

function spectrumOf(...pictures: Uint8Array[]): Spectrum {
  const spectrum = new Spectrum(size);
  for (const rgb of pictures) spectrum.add(rgb);
  return spectrum;
}

// A point has all frequencies alike. Two, the second negative, have 4·sin²(πf / S) times as much at f: a pattern.
const point = pictureOf([3, 100, 100, 100]);
const pattern = pictureOf([3, 100, 100, 100], [4, -100, -100, -100]);

test('a rise towards high frequencies is measured, in dB', () => {
  const more = (f: number) => 10 * Math.log10(4 * Math.sin((Math.PI * f) / size) ** 2);
  const lowest = (more(3) + more(4) + more(5)) / 3; // from S / 8 on
  const highest = (more(15) + more(16)) / 2; // to S / 2
  const found = patternOf(spectrumOf(point), spectrumOf(pattern));
  expect(found?.pattern_luma).toBeCloseTo(highest - lowest, 2);
  expect(found?.pattern_colour).toBe(0);
});

test('blur, contrast and equal pictures are none', () => {
  const blurred = pictureOf([2, 25, 25, 25], [3, 50, 50, 50], [4, 25, 25, 25]);
  const fainter = pictureOf([3, 50, 50, 50]);
  for (const made of [point, blurred, fainter]) {
    const { pattern_luma, pattern_colour } = patternOf(spectrumOf(point, point), spectrumOf(made))!;
    expect(pattern_luma).toBeLessThan(0.05);
    expect(pattern_colour).toBe(0);
  }
});

test('colour is measured by itself', () => {
  const real = pictureOf([3, 100, 100, 0]);
  const made = pictureOf([3, 100, 100, 0], [4, 0, 0, 100], [5, 0, 0, -100]);
  const { pattern_luma, pattern_colour } = patternOf(spectrumOf(real), spectrumOf(made))!;
  expect(pattern_luma).toBeLessThan(1);
  expect(pattern_colour).toBeGreaterThan(3);
});

test('nothing is said of no pictures, and of very small ones', () => {
  expect(patternOf(new Spectrum(size), spectrumOf(point))).toBeUndefined();
  const small = new Spectrum(8);
  small.add(new Uint8Array(8 * 8 * 3));
  expect(patternOf(small, small)).toBeUndefined();
});

test('the warning: of what is seen, of enough pictures, and what helps', () => {
  const found = { pattern_luma: 2.34, pattern_colour: 18.4, pattern_lattice: 7.9 };
  const stage1 = { network: 'strided', filter: 'none', upsampling: 'transposed' } as const;
  const many = { pictures: 300, stage1 };
  const photo = { ...many, stage1: { ...stage1, filter: 'photo' as const } };
  expect(patternWarning('Samples', found, many)).toMatch(
    /^Samples carry a fine pattern .*: 2\.3 dB in brightness, 18\.4 dB in colour .*stage1\.filter=photo\.$/,
  );
  expect(patternWarning('Samples', found, photo)).toMatch(/More training helps\.$/);
  expect(patternWarning('Samples', { ...found, pattern_luma: 1.9 }, many)).not.toMatch('brightness');
  const little = { pattern_luma: 1.9, pattern_colour: 5.9, pattern_lattice: 7.9 };
  expect(patternWarning('Samples', little, many)).toBeUndefined();
  expect(patternWarning('Samples', { ...little, pattern_lattice: 8.12 }, many)).toMatch(
    ': 8.1 dB in a lattice',
  );
  const lattice = { ...little, pattern_lattice: 8.12 };
  expect(patternWarning('Samples', lattice, photo)).toMatch(
    /A new run may have stage1\.upsampling=nearest\.$/,
  );
  expect(patternWarning('Samples', lattice, many)).toMatch(
    /nearest and for photographs stage1\.filter=photo\.$/,
  );
  const nearest = { ...photo, stage1: { ...photo.stage1, upsampling: 'nearest' as const } };
  expect(patternWarning('Samples', lattice, nearest)).toMatch(/More training helps\.$/);
  expect(patternWarning('Samples', found, { ...many, pictures: 31 })).toBeUndefined();
});

test('how far mean colours move: each picture, in its worst channel', () => {
  const grey = new Uint8Array(2 * 2 * 2 * 3).fill(100);
  const other = grey.slice();
  other[0] = 108; // red of the first picture: 8 / 4 pixels
  other[14] = 60; // blue of the second: −40 / 4
  other[17] = 120;
  expect(colourShifts(grey, other, 2)).toEqual([2, 5]);
  expect(ninetieth([5, 1, 2, 3, 4, 6, 7, 8, 10, 9])).toBe(9);
});

import { LatticePower } from '../../src/data/lattice.js';

/** A point of height 100 in the middle, which has all waves alike, and waves of cells of so many pixels on it. */
function pictureOf(size: number, wave?: { period: number; down: number; across: number; height: number }) {
  const centre = size / 2;
  return Float64Array.from({ length: size * size }, (_, i) => {
    const [y, x] = [Math.floor(i / size), i % size];
    const point = y === centre && x === centre ? 100 : 0;
    if (!wave) return point;
    const { period, down, across, height } = wave;
    const angle = (2 * Math.PI * (down * (y - centre) + across * (x - centre))) / period;
    return point + height * Math.cos(angle);
  });
}

function powerOf(size: number, ...pictures: Float64Array[]): LatticePower {
  const power = new LatticePower(size);
  for (const picture of pictures) power.add(picture);
  return power;
}

describe.each([32, 64, 128])('%i pixels', (size) => {
  const side = Math.min(64, size);
  const real = powerOf(size, pictureOf(size), pictureOf(size));

  test.each([
    { down: 2, across: -2 },
    { down: 0, across: 1 },
    { down: 3, across: 1 },
  ])('a wave of $down by $across in eight pixels is found, in dB', (way) => {
    const made = powerOf(size, pictureOf(size, { period: 8, height: 2, ...way }));
    // The window is sin²(π (i + ½) / side): at the point, and of a wave its sum, half the side each way.
    const point = 100 * Math.sin((Math.PI * (side / 2 + 0.5)) / side) ** 4;
    const expected = 20 * Math.log10((point + (2 / 2) * (side / 2) ** 2) / point);
    expect(LatticePower.excess(real, made)).toBeCloseTo(expected, 1);
    expect(LatticePower.excess(made, made)).toBe(0);
  });

  test('pictures alike, weaker ones and what repeats otherwise are none', () => {
    const weaker = pictureOf(size).map((v) => v / 3);
    const between = pictureOf(size, { period: side, down: 11 * (side / 64) + 1, across: 5, height: 2 });
    expect(LatticePower.excess(real, powerOf(size, pictureOf(size)))).toBeCloseTo(0, 9);
    expect(LatticePower.excess(real, powerOf(size, weaker))).toBeLessThan(0.01);
    expect(LatticePower.excess(real, powerOf(size, between))).toBeLessThan(6);
  });
});

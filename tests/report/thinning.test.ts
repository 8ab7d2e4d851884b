import { addPoint, cutFrom, pointsOf, startThinning } from '../../src/report/thinning.js';

function thinned(count: number, value: (step: number) => number) {
  const thinning = startThinning();
  for (let step = 1; step <= count; step++) addPoint(thinning, step, value(step));
  return thinning;
}

test('a short curve is kept whole', () => {
  expect(pointsOf(thinned(500, (step) => -step)).y).toEqual(Array.from({ length: 500 }, (_, i) => -1 - i));
  expect(pointsOf(startThinning())).toEqual({ x: [], y: [] });
});

test('of a long one about a thousand points stay: the first, the last and every spike', () => {
  for (const count of [501, 1000, 1003, 100_000]) {
    const spikes = [7, Math.floor(count / 2), count - 3];
    const { x, y } = pointsOf(
      thinned(count, (step) => (spikes.includes(step) ? 1000 + step : Math.sin(step))),
    );
    expect(x.length).toBeGreaterThan(250);
    expect(x.length).toBeLessThanOrEqual(1002);
    expect([x[0], x.at(-1)]).toEqual([1, count]);
    expect(x).toEqual([...new Set(x)].sort((a, b) => a - b));
    for (const spike of spikes) expect(y[x.indexOf(spike)]).toBe(1000 + spike);
    expect(Math.min(...y)).toBeLessThan(-0.99);
  }
});

test('what is cut from a step on is gone, and the curve goes on from there', () => {
  const thinning = thinned(3000, (step) => step);
  cutFrom(thinning, 2000);
  expect(pointsOf(thinning).x.at(-1)).toBeLessThan(2000);
  for (let step = 2000; step <= 5000; step++) addPoint(thinning, step, -step);
  const { x, y } = pointsOf(thinning);
  expect(x).toEqual([...x].sort((a, b) => a - b));
  expect([y[0], y.at(-1)]).toEqual([1, -5000]);
  expect(x.length).toBeLessThanOrEqual(1002);
});

import { stepAnywhere, stepInOrder, wavesOf, windowsFrom } from '../../src/sample/windows.js';

test('windows go from the origin outwards, a step at a time, to the very edge', () => {
  const at = (windows: ReturnType<typeof windowsFrom>) => windows.map(({ left, top }) => `${left},${top}`);
  expect(at(windowsFrom({ left: 0, top: 0 }, { rows: 4, columns: 9, side: 4 }, 3))).toEqual([
    ...['0,0', '3,0', '5,0'],
  ]);
  expect(at(windowsFrom({ left: 3, top: 2 }, { rows: 7, columns: 7, side: 4 }, 3))).toEqual([
    ...['3,2', '0,2'],
    ...['3,3', '0,3'],
    ...['3,0', '0,0'],
  ]);
});

test('steps leave a quarter of a window known, or half of it', () => {
  expect([1, 2, 4, 7, 16].map(stepAnywhere)).toEqual([1, 1, 3, 5, 12]);
  expect([1, 2, 4, 7, 16].map(stepInOrder)).toEqual([1, 1, 2, 3, 8]);
});

test.each([
  [4, 11, 5],
  [4, 4, 4],
  [7, 25, 13],
  [2, 9, 8],
])(
  'windows of %d over %d × %d: those that meet keep their order, those of a wave do not meet',
  (side, columns, rows) => {
    const windows = windowsFrom({ left: 0, top: 0 }, { rows, columns, side }, stepInOrder(side));
    const waves = wavesOf(windows, side);
    expect(waves.flat()).toHaveLength(windows.length);
    const inOrder = waves.flat();
    const places = (window: (typeof windows)[number]) => {
      const cells = new Set<number>();
      for (let y = 0; y < side; y++)
        for (let x = 0; x < side; x++) cells.add((window.top + y) * columns + window.left + x);
      return cells;
    };
    for (const wave of waves)
      for (const a of wave)
        for (const b of wave)
          if (a !== b) expect([...places(a)].some((cell) => places(b).has(cell))).toBe(false);
    for (const [i, a] of windows.entries())
      for (const b of windows.slice(i + 1))
        if ([...places(a)].some((cell) => places(b).has(cell)))
          expect(inOrder.indexOf(a)).toBeLessThan(inOrder.indexOf(b));
    expect(new Set(windows.flatMap((window) => [...places(window)])).size).toBe(rows * columns);
  },
);

/** Maps in which each colour means something: of each cell the colour that covers most of it. */
import { must } from '../../base/lookup.js';
import { type Conditioner, conditionGrid, type MapLabel, shownCells } from './condition.js';

export function hexOfBytes(red: number, green: number, blue: number): string {
  return `#${((red << 16) | (green << 8) | blue).toString(16).padStart(6, '0')}`;
}

/** Of values in [−1, 1]. */
export function hexOf(red: number, green: number, blue: number): string {
  const byte = (value: number) => Math.round((value + 1) * 127.5);
  return hexOfBytes(byte(red), byte(green), byte(blue));
}

function valuesOf(hex: string): [number, number, number] {
  const value = (at: number) => Number.parseInt(hex.slice(at, at + 2), 16) / 127.5 - 1;
  return [value(1), value(3), value(5)];
}

/** @param side rows and columns; it divides `size`. @param labels that training maps have */
export function maps(size: number, side: number, labels: readonly MapLabel[]): Conditioner {
  const record = { kind: 'maps', size, grid: conditionGrid(side, side, labels.length), labels } as const;
  const codeOf = new Map(labels.map(({ colour }, code) => [colour, code]));
  const cell = size / side;
  return {
    record,
    codes(map) {
      const counts = Array.from({ length: side * side }, () => new Int32Array(labels.length));
      for (let y = 0; y < size; y++)
        for (let x = 0; x < size; x++) {
          const at = 3 * (y * size + x);
          const colour = hexOf(map[at]!, map[at + 1]!, map[at + 2]!);
          const count = must(counts[Math.floor(y / cell) * side + Math.floor(x / cell)], 'cell');
          count[must(codeOf.get(colour), `the colour ${colour}`)]!++;
        }
      return Int32Array.from(counts, (count) => count.indexOf(Math.max(...count)));
    },
    shown: (codes) => shownCells(record, (at) => valuesOf(labels[codes[at]!]?.colour ?? '#ffffff')),
  };
}

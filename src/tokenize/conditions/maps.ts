/** Maps in which each colour means something: of each cell the colour that covers most of it. */
import { must } from '../../base/lookup.js';
import { hexOf, type MapLabel, valuesOf } from '../../data/map-labels.js';
import { conditionGrid, type Plain, shownCells } from './condition.js';

/** @param side rows and columns; it divides `size`. @param labels that training maps have */
export function maps(size: number, side: number, labels: readonly MapLabel[]): Plain {
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

/** How surprised a prior is at true codes, place by place: bits of each position, over pictures and of a few alone. */
import { must, nth } from '../base/lookup.js';
import { inferenceBatch } from '../data/inference-batch.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import { type Grid, gridsIn } from '../stage1-vqgan/latent.js';
import {
  canvasOf,
  histogramEntropies,
  labelled,
  meanOverCells,
  uniformEntropy,
  validationRows,
} from '../stage2-transformer/sequences.js';
import { frozenNats } from '../stage2-transformer/step.js';
import type { Coded } from './coded.js';
import { type Html, html, pngUrl } from './document.js';
import type { Opened } from './opened.js';
import { attempted, isMissing, type Part } from './part.js';
import type { Pair, Unseen } from './unseen.js';

export interface Heat {
  readonly grids: readonly Grid[];
  /** [T], bits of each cell, mean over pictures. */
  readonly bits: Float64Array;
  readonly pictures: number;
  readonly from: string;
  /** Bits per token: of all, by how frequent codes are alone, and of codes that are all alike. */
  readonly mean: number;
  readonly histogram: number;
  readonly uniform: number;
  readonly draws: 'in order' | 'anywhere';
  /** A few pictures and the bits of their codes, [T] each; none of a prior that draws anywhere. */
  readonly single: readonly { readonly pair: Pair; readonly bits: Float64Array }[];
}

/** Rows of codes, and pictures by themselves. */
const most = { rows: 512, single: 4 };

export async function heatOf(
  o: Opened,
  { unseen, coded }: { unseen: Part<Unseen>; coded: Part<Coded> },
): Promise<Part<Heat>> {
  const { prior, latent, config, device, signal } = o;
  if (isMissing(prior)) return { missing: `There are no bits to show. ${prior.missing}` };
  if (isMissing(coded)) return coded;
  const { model } = prior;
  if (model.condition.grids.length > 0 && !coded.tokens.told) {
    return {
      missing: 'Bits are left out: the prior is told of pictures, which only the run’s own tokens do.',
    };
  }
  return attempted('Bits are left out', async () => {
    const grids = gridsIn(latent);
    const set = labelled(coded.tokens, prior.classes);
    const batch = inferenceBatch(config.data.size);
    const graph = await device.prepare(frozenNats(model, prior.tensors, batch));
    const cells = cellsIn(grids);
    const given = cellsIn(model.condition.grids);
    /** Bits [n, T] of rows. */
    const bitsOf = async (from: typeof set, rows: Int32Array, key: number): Promise<Float64Array> => {
      const padded = Int32Array.from({ length: batch }, (_, i) => nth(rows, Math.min(i, rows.length - 1)));
      const { nats } = await graph.run(model.feed('eval', key, canvasOf(from, padded)).batched ?? {});
      const bits = new Float64Array(rows.length * cells);
      for (let row = 0; row < rows.length; row++)
        for (let i = 0; i < cells; i++)
          bits[row * cells + i] = nth(nats.data, row * (given + cells) + given + i) / Math.LN2;
      return bits;
    };
    try {
      const rows = validationRows(coded.tokens.count, most.rows);
      const sums = new Float64Array(cells);
      for (let at = 0; at < rows.length; at += batch) {
        signal?.throwIfAborted();
        for (const [i, bits] of (await bitsOf(set, rows.subarray(at, at + batch), at)).entries())
          sums[i % cells]! += bits / rows.length;
      }
      const single: { pair: Pair; bits: Float64Array }[] = [];
      if (model.draws === 'in order' && given === 0 && !isMissing(unseen)) {
        const own = labelled(ownTokens(coded, unseen), prior.classes);
        for (const pair of unseen.shown.slice(0, most.single))
          single.push({ pair, bits: await bitsOf(own, Int32Array.of(pair.at), 0) });
      }
      return {
        ...{ grids, single, bits: sums, pictures: rows.length, draws: model.draws },
        from: rows.length < coded.tokens.count ? `${rows.length} of ${coded.from}` : coded.from,
        mean: sums.reduce((sum, v) => sum + v, 0) / cells,
        histogram: meanOverCells(grids, histogramEntropies(coded.tokens)),
        uniform: uniformEntropy(grids),
      };
    } finally {
      await graph.dispose();
    }
  });
}

/** The codes of the pictures that were looked at, as if from a file. */
function ownTokens({ tokens }: Coded, { codes, names, classes, images }: Unseen): Coded['tokens'] {
  const known = [...new Set(classes)].sort();
  const labels = Int32Array.from(classes, (name) => known.indexOf(name));
  return {
    ...{ ...tokens, names, classes: known, labels, codings: 1, told: undefined },
    ...{ count: images, codes: Uint32Array.from(codes) },
  };
}

export function heatSection(heat: Heat): Html {
  const { grids, bits, from, mean, histogram, uniform, draws, single } = heat;
  const how =
    draws === 'in order'
      ? 'by those before it'
      : 'by a random part of the others, as many orders have it (a bound, and noisy from cell to cell)';
  return html`<p>Bits that each position's true code costs the prior, which guesses it ${how}: the mean over ${from}.
In all ${mean.toFixed(2)} bits a token; by how frequent codes are alone it would be ${histogram.toFixed(2)}, were all
alike ${uniform.toFixed(2)}.</p>
<div class="heats" style="--columns: ${broadest(grids)}">${grids.map((grid, i) => gridTable(grid, partOf(grids, i, bits), `Bits at each position${named(grids, grid)}`))}</div>
${
  single.length === 0
    ? ''
    : html`<p>The same of ${single.length} unseen pictures alone, under what the tokenizer keeps of them:</p>
<div class="heats" style="--columns: ${broadest(grids)}">${single.map(
        ({ pair, bits }) => html`<figure>
<img class="pixels" width="128" height="128" src="${pngUrl(pair.reconstruction)}" alt="Reconstruction of ${pair.name}">
${grids.map((grid, i) => gridTable(grid, partOf(grids, i, bits), `Bits of ${pair.name}${named(grids, grid)}`))}</figure>\n`,
      )}</div>`
}`;
}

export const broadest = (grids: readonly Grid[]): number => Math.max(...grids.map(({ width }) => width));

const named = (grids: readonly Grid[], { name }: Grid): string => (grids.length > 1 ? `, ${name} grid` : '');

const partOf = (grids: readonly Grid[], i: number, all: ArrayLike<number>): number[] => {
  const first = cellsIn(grids.slice(0, i));
  return Array.from({ length: cellsIn([must(grids[i], 'grid')]) }, (_, k) => nth(all, first + k));
};

/** @param values of each cell, row by row. @param digits behind the point */
export function gridTable(
  { height, width }: Pick<Grid, 'height' | 'width'>,
  values: readonly number[],
  caption: string,
  digits = 1,
): Html {
  const least = Math.min(...values);
  const span = Math.max(...values) - least || 1;
  return html`<div class="heat" style="--columns: ${width}"><table><caption>${caption}</caption><tbody>${Array.from(
    { length: height },
    (_, y) =>
      html`<tr>${values.slice(y * width, (y + 1) * width).map((value) => {
        const share = (value - least) / span;
        return html`<td style="--heat: ${Math.round(5 + 95 * share)}%">${value.toFixed(digits)}</td>`;
      })}</tr>`,
  )}</tbody></table></div>`;
}

/** A page of each codebook: what every code looks like, how often it is used, and the patches that come nearest. */
import { must } from '../base/lookup.js';
import { type HostTensors, int32, type Shape4 } from '../base/tensor.js';
import { inferenceBatch } from '../data/inference-batch.js';
import { encodePng, toBytes } from '../data/pictures.js';
import { byGrid, cellsIn } from '../stage1-vqgan/grids.js';
import { type Grid, gridsIn } from '../stage1-vqgan/latent.js';
import { modelOf } from '../stage1-vqgan/model.js';
import { decodeProgram } from '../stage1-vqgan/programs.js';
import { countCodes, noUse } from '../train/book-use.js';
import type { Coded } from './coded.js';
import { type Html, html, pngUrl } from './document.js';
import type { Opened } from './opened.js';
import { attempted, isMissing, type Part } from './part.js';
import type { Unseen } from './unseen.js';

export interface Book {
  readonly grid: Grid;
  /** Whose codes were counted, for people; undefined where none were. */
  readonly counted?: string;
  /** Codes that were used. */
  readonly used: number;
  /** The most used first; those that are shown. */
  readonly codes: readonly { readonly code: number; readonly uses: number }[];
  /** Side of a patch, pixels. */
  readonly cell: number;
  /** Patches side by side for each code: the decoded one, then the nearest. */
  readonly strip: number;
  /** Strips of a row of the picture that holds all. */
  readonly columns: number;
  readonly picture: Uint8Array;
}

const mostCodes = 1024;
/** Of all patches: they hardly get smaller as PNG. */
const mostPixels = 500_000;
const nearest = 3;

export async function codebookOf(
  o: Opened,
  { unseen, coded }: { unseen: Part<Unseen>; coded: Part<Coded> },
): Promise<Part<readonly Book[]>> {
  const { config, device, latent, tokenizer } = o;
  if (latent.kind !== 'codes') {
    const what = latent.kind === 'gaussian' ? 'a Gaussian in as many dimensions' : 'a point';
    return {
      missing: `There is no codebook: an image becomes ${latent.shape.join('×')} numbers, ${what}, which vqgen interpolate walks through.`,
    };
  }
  if (isMissing(tokenizer)) return tokenizer;
  return attempted('The codebook is left out', async () => {
    const grids = gridsIn(latent);
    const counts = isMissing(coded) ? undefined : countsOf(grids, coded);
    const batch = inferenceBatch(config.data.size);
    const graph = await device.prepare(decodeProgram(modelOf(config), tokenizer.tensors, batch));
    const books: Book[] = [];
    try {
      for (const grid of grids) {
        const cell = config.data.size / grid.height;
        const strip = isMissing(unseen) ? 1 : 1 + nearest;
        const most = Math.min(mostCodes, Math.floor(mostPixels / (strip * cell * cell)));
        const all = ranked(grid, counts?.[grid.name]);
        const codes = all.slice(0, most);
        const background = backgroundOf(grids, counts);
        const decoded: Uint8Array[] = [];
        for (let at = 0; at < codes.length; at += batch) {
          const part = codes.slice(at, at + batch).map(({ code }) => code);
          const { images } = await graph.run(filled(grids, grid, { background, batch, codes: part }));
          const bytes = toBytes(images);
          const [, size] = images.shape as Shape4;
          const first = Math.floor(size / cell / 2) * cell;
          for (let image = 0; image < part.length; image++)
            decoded.push(patchAt(bytes, { size, image, top: first, left: first, cell }));
        }
        const strips = decoded.map((patch) => [patch]);
        if (!isMissing(unseen)) addNearest(strips, codes, { unseen, grids, grid, cell });
        const columns = Math.max(1, Math.min(codes.length, Math.ceil(Math.sqrt(codes.length / strip))));
        books.push({
          ...{ grid, codes, cell, strip, columns },
          used: all.filter(({ uses }) => uses > 0).length,
          ...(!isMissing(coded) && { counted: coded.from }),
          picture: await pictured(strips, { cell, strip, columns }),
        });
      }
    } finally {
      await graph.dispose();
    }
    return books;
  });
}

/** How often each grid's codes are used, by its name. */
function countsOf(grids: readonly Grid[], { tokens }: Coded): Record<string, readonly number[]> {
  const uses = noUse(grids);
  const ofGrids = byGrid(grids, Int32Array.from(tokens.codes));
  countCodes(
    uses,
    grids.map(({ name }) => must(ofGrids[name], name).data),
  );
  return Object.fromEntries(uses.map(({ name, counts }) => [name, counts]));
}

/** The most used first, then by number. */
function ranked({ vocab }: Grid, counts: readonly number[] = []): { code: number; uses: number }[] {
  const codes = Array.from({ length: vocab }, (_, code) => ({ code, uses: counts[code] ?? 0 }));
  return codes.sort((a, b) => b.uses - a.uses || a.code - b.code);
}

/** What the other grids have meanwhile: the code that they use most. */
function backgroundOf(grids: readonly Grid[], counts?: Record<string, readonly number[]>) {
  return Object.fromEntries(
    grids.map((grid) => [grid.name, must(ranked(grid, counts?.[grid.name])[0], 'code').code]),
  );
}

/** Grids of one code each: those of `grid` of `codes` in turn. */
function filled(
  grids: readonly Grid[],
  grid: Grid,
  o: { background: Record<string, number>; batch: number; codes: readonly number[] },
): HostTensors {
  return Object.fromEntries(
    grids.map(({ name, height, width }) => {
      const data = Int32Array.from({ length: o.batch * height * width }, (_, i) =>
        name === grid.name
          ? (o.codes[Math.floor(i / (height * width))] ?? 0)
          : must(o.background[name], name),
      );
      return [name, int32([o.batch, height, width], data)];
    }),
  );
}

function patchAt(
  bytes: Uint8Array,
  { size, image, top, left, cell }: { size: number; image: number; top: number; left: number; cell: number },
): Uint8Array {
  const patch = new Uint8Array(cell * cell * 3);
  for (let y = 0; y < cell; y++) {
    const from = ((image * size + top + y) * size + left) * 3;
    patch.set(bytes.subarray(from, from + cell * 3), y * cell * 3);
  }
  return patch;
}

/** Adds to each code's decoded patch those nearest to it in pixels among the patches that became this code. */
function addNearest(
  strips: Uint8Array[][],
  codes: readonly { readonly code: number }[],
  { unseen, grids, grid, cell }: { unseen: Unseen; grids: readonly Grid[]; grid: Grid; cell: number },
): void {
  const { size } = unseen;
  const placeOf = new Map(codes.map(({ code }, i) => [code, i]));
  const all = cellsIn(grids);
  const before = cellsIn(grids.slice(0, grids.indexOf(grid)));
  const found: { distance: number; patch: Uint8Array }[][] = codes.map(() => []);
  for (let image = 0; image < unseen.images; image++) {
    for (let i = 0; i < grid.height * grid.width; i++) {
      const place = placeOf.get(must(unseen.codes[image * all + before + i], 'code'));
      if (place === undefined) continue;
      const [top, left] = [Math.floor(i / grid.width) * cell, (i % grid.width) * cell];
      const patch = patchAt(unseen.pixels, { size, image, top, left, cell });
      const decoded = must(strips[place]?.[0], 'patch');
      let distance = 0;
      for (let k = 0; k < patch.length; k++) distance += (patch[k]! - decoded[k]!) ** 2;
      const best = must(found[place], 'list');
      best.push({ distance, patch });
      best.sort((a, b) => a.distance - b.distance);
      best.length = Math.min(best.length, nearest);
    }
  }
  for (const [i, best] of found.entries()) strips[i]?.push(...best.map(({ patch }) => patch));
}

/** All strips in one picture, white where a code has fewer patches. */
async function pictured(
  strips: readonly (readonly Uint8Array[])[],
  { cell, strip, columns }: { cell: number; strip: number; columns: number },
): Promise<Uint8Array> {
  const rows = Math.ceil(strips.length / columns);
  const width = columns * strip * cell;
  const data = new Uint8Array(width * rows * cell * 3).fill(255);
  for (const [i, patches] of strips.entries()) {
    for (const [k, patch] of patches.entries()) {
      const left = ((i % columns) * strip + k) * cell;
      for (let y = 0; y < cell; y++) {
        const row = Math.floor(i / columns) * cell + y;
        data.set(patch.subarray(y * cell * 3, (y + 1) * cell * 3), (row * width + left) * 3);
      }
    }
  }
  return encodePng({ width, height: rows * cell, data });
}

/** Pixels of a patch on the page, about. */
const wanted = 24;
const sideOf = (cell: number): number => Math.max(1, Math.round(wanted / cell)) * cell;

/** Style of `codebookSection`: the pictures of all patches. */
export const codebookStyle = (books: readonly Book[], id: string): string =>
  books
    .map(({ cell, codes, columns, strip, picture }, i) => {
      const side = sideOf(cell);
      const rows = Math.ceil(codes.length / columns);
      const extent = `${columns * strip * side}px ${rows * side}px`;
      return `.book-${id}-${i} i { width: ${side}px; height: ${side}px; background: url(${pngUrl(picture)}) 0 0 / ${extent}; }\n.book-${id}-${i} .near { width: ${(strip - 1) * side}px; }`;
    })
    .join('\n');

/** @param id tells this run's books from another's on the page */
export function codebookSection(books: readonly Book[], id: string): Html {
  return html`${books.map((book, i) => bookFigure(book, `${id}-${i}`, books.length > 1))}`;
}

function bookFigure(book: Book, id: string, several: boolean): Html {
  const { grid, counted, used, codes, cell, strip, columns } = book;
  const side = sideOf(cell);
  const name = several ? `The grid “${grid.name}”: ` : '';
  const use = counted
    ? `${used} of ${grid.vocab} codes are used by ${counted}; the most used stand first.`
    : `Of the ${grid.vocab} codes nothing tells how often they are used.`;
  const least = codes.length < grid.vocab ? ` Shown are the first ${codes.length}.` : '';
  const others = several ? ', the other grids filled with their most used code' : '';
  const beside =
    strip > 1
      ? ` Beside it the up to ${strip - 1} patches of unseen pictures nearest to it, in pixels, among those that became this code.`
      : '';
  return html`<figure class="book book-${id}">
<figcaption>${name}${grid.height}×${grid.width} cells of ${cell}×${cell} pixels. ${use}${least} At the left of each
is what the decoder makes of it: the middle cell of a picture of this code alone${others}.${beside}</figcaption>
<div class="scroll" tabindex="0" role="region" aria-label="Codes${several ? ` of the grid ${grid.name}` : ''}">
<ol class="codes">${codes.map(({ code, uses }, i) => {
    const unused = counted !== undefined && uses === 0;
    const told = counted === undefined ? '' : unused ? 'unused' : `${uses}×`;
    const [left, top] = [-(i % columns) * strip * side, -Math.floor(i / columns) * side];
    const near = html`<i class="near" role="img" aria-label="Patches nearest to code ${code}" style="background-position: ${left - side}px ${top}px"></i>`;
    return html`<li${unused ? unusedClass : noClass}><i role="img" aria-label="Code ${code}, decoded" style="background-position: ${left}px ${top}px"></i>${strip > 1 && !unused ? near : ''}<b>${code} <small>${told}</small></b></li>\n`;
  })}</ol></div></figure>`;
}

const unusedClass = html` class="unused"`;
const noClass = html``;

/** For the table of all runs: `487 of 512`. */
export const bookUse = (books: readonly Book[]): string =>
  books.map(({ used, grid, counted }) => (counted ? `${used} of ${grid.vocab}` : '–')).join(', ');

/** How a prior that draws anywhere fills its first samples, pass by pass. */
import { must, nth } from '../base/lookup.js';
import { stream } from '../base/rng.js';
import { float32 } from '../base/tensor.js';
import { inferenceBatch } from '../data/inference-batch.js';
import { encodePng, toBytes } from '../data/pictures.js';
import { decodeImages, drawingOf } from '../sample/prior-source.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import { type Grid, gridsIn } from '../stage1-vqgan/latent.js';
import { modelOf } from '../stage1-vqgan/model.js';
import { decodeProgram } from '../stage1-vqgan/programs.js';
import { blankCanvas, unknown } from '../stage2-transformer/canvas.js';
import type { Seen } from '../stage2-transformer/prior.js';
import { type Html, html, pngUrl } from './document.js';
import { broadest, gridTable } from './heat.js';
import type { Opened } from './opened.js';
import { attempted, isMissing, type Part, table } from './part.js';

export interface Film {
  readonly grids: readonly Grid[];
  readonly size: number;
  readonly passes: readonly PassSeen[];
  /** Of each picture its names, and in which pass each cell got the code that stayed, [T], from 1 on. */
  readonly pictures: readonly { readonly className?: string; readonly final: readonly number[] }[];
}

export interface PassSeen {
  /** PNG of each picture: what is drawn, and paler the likeliest rest; after the last pass all of it. */
  readonly frames: readonly Uint8Array[];
  /** Of all pictures together: cells that are drawn before the pass, and those that were and no longer are. */
  readonly drawn: number;
  readonly revised: number;
  /** Bits, mean over the cells that are not drawn; undefined when all are. */
  readonly entropy?: number;
}

const shown = 3;

/** The canvases before a pass: known codes and likeliest codes, [B, T] each. */
interface Canvases {
  readonly codes: Int32Array;
  readonly likeliest: Int32Array;
  readonly entropy?: number;
}

export async function filmOf(o: Opened): Promise<Part<Film> | undefined> {
  const { prior, tokenizer, latent, config, device, seed, reporter, signal } = o;
  if (isMissing(prior) || isMissing(tokenizer) || prior.model.draws !== 'anywhere') return undefined;
  if (prior.told) return { missing: 'There is no film of a prior that is told of pictures.' };
  const { model } = prior;
  return attempted('The film of the passes is left out', async () => {
    const grids = gridsIn(latent);
    const { choice, cfgScale, growth, passes, classOf } = drawingOf(
      { run: o.run, seed, device, reporter },
      config,
      model,
    );
    const numbers = Array.from({ length: shown }, (_, i) => i);
    const labels = Int32Array.from(numbers, classOf);
    const drawer = await model.open(device, prior.tensors, { batch: shown, cfgScale });
    const seen: Canvases[] = [];
    try {
      const codes = await drawer.draw(blankCanvas(cellsIn(grids), labels), {
        ...{ choice, growth, passes, signal },
        random: numbers.map((i) => stream(seed, 'sample', i)),
        onPass: (pass) => seen.push(canvasesOf(pass, grids)),
      });
      seen.push({ codes, likeliest: codes });
    } finally {
      await drawer.dispose();
    }
    const { size } = config.data;
    const batch = inferenceBatch(size);
    const decoder = await device.prepare(decodeProgram(modelOf(config), tokenizer.tensors, batch));
    const decoded: Float32Array[][] = [];
    try {
      for (const { codes, likeliest } of seen) {
        const whole = codes.map((code, i) => (code === unknown ? nth(likeliest, i) : code));
        decoded.push(await decodeImages(decoder, whole, { batch, grids }));
      }
    } finally {
      await decoder.dispose();
    }
    const cells = cellsIn(grids);
    const passesSeen: PassSeen[] = [];
    for (const [step, { codes, entropy }] of seen.entries()) {
      const before = seen[step - 1]?.codes;
      const frames: Uint8Array[] = [];
      for (const [i, image] of must(decoded[step], 'pass').entries()) {
        const bytes = toBytes(float32([size, size, 3], image));
        const own = codes.subarray(i * cells, (i + 1) * cells);
        frames.push(await encodePng({ width: size, height: size, data: paled(bytes, size, own, grids) }));
      }
      passesSeen.push({
        ...{ frames, entropy },
        drawn: codes.filter((code) => code !== unknown).length,
        revised: codes.filter((code, i) => code === unknown && before && nth(before, i) !== unknown).length,
      });
    }
    return {
      ...{ grids, size, passes: passesSeen },
      pictures: numbers.map((i) => ({
        className: prior.classes[labels[i] ?? -1],
        final: Array.from({ length: cells }, (_, cell) => finalPass(seen, i * cells + cell)),
      })),
    };
  });
}

function canvasesOf({ codes, probabilities }: Seen, grids: readonly Grid[]): Canvases {
  const cells = cellsIn(grids);
  const likeliest = new Int32Array(codes.length);
  let [bits, unknowns] = [0, 0];
  for (const [i, code] of codes.entries()) {
    if (code !== unknown) continue;
    unknowns++;
    const shares = probabilities(Math.floor(i / cells), i % cells);
    for (const [k, p] of shares.entries()) {
      if (p > nth(shares, nth(likeliest, i))) likeliest[i] = k;
      if (p > 0) bits -= p * Math.log2(p);
    }
  }
  return { codes: codes.slice(), likeliest, entropy: unknowns > 0 ? bits / unknowns : undefined };
}

/** The first pass (from 1 on) after which a cell has the code that it ends with, and keeps it. */
function finalPass(seen: readonly Canvases[], at: number): number {
  let pass = seen.length - 1;
  const end = nth(must(seen[pass], 'pass').codes, at);
  while (pass > 0 && nth(must(seen[pass - 1], 'pass').codes, at) === end) pass--;
  return pass;
}

/** Halfway and more to white where a cell of any grid is not drawn. */
function paled(bytes: Uint8Array, size: number, codes: Int32Array, grids: readonly Grid[]): Uint8Array {
  const pale = new Uint8Array(size * size);
  let first = 0;
  for (const { height, width } of grids) {
    const cell = size / width;
    for (let y = 0; y < size; y++)
      for (let x = 0; x < size; x++)
        if (codes[first + Math.floor(y / cell) * width + Math.floor(x / cell)] === unknown)
          pale[y * size + x] = 1;
    first += height * width;
  }
  return bytes.map((byte, i) => (pale[Math.floor(i / 3)] ? Math.round(255 - 0.35 * (255 - byte)) : byte));
}

export function filmSection({ grids, size, passes, pictures }: Film): Html {
  const last = passes.length - 1;
  const revised = passes.reduce((sum, pass) => sum + pass.revised, 0);
  const label = (step: number) => (step < last ? `Before pass ${step + 1} of ${last}` : `After pass ${last}`);
  const about =
    revised > 0
      ? `${revised} codes were taken back on the way and drawn again.`
      : 'No code is taken back once it is drawn (sample.revise is 0, or no doubt was left).';
  return html`<figure class="film">
<div class="frames">${passes.map(
    ({ frames }, step) => html`<div class="frame" data-label="${label(step)}"${step < last ? hidden : none}>
<p class="faint">${label(step)}</p>${frames.map(
      (png, i) =>
        html`<img class="pixels" width="${size}" height="${size}" src="${pngUrl(png)}" alt="Sample ${i}${pictures[i]?.className ? `, ${pictures[i].className}` : ''}, ${label(step).toLowerCase()}">\n`,
    )}</div>\n`,
  )}</div>
<div class="controls"><button type="button">Play</button>
<input type="range" min="0" max="${last}" value="${last}" step="1" aria-label="Pass" aria-valuetext="${label(last)}"></div>
<figcaption>The first ${pictures.length} samples as they are drawn. What is drawn is in full colour; the rest is what
the network thinks likeliest at that pass, paler. ${about}</figcaption></figure>
${table(
  'What each pass begins with, of all these pictures',
  ['pass', 'drawn', 'taken back', 'bits of an open code'],
  passes.map(({ drawn, revised, entropy }, step) => [
    step < last ? `${step + 1}` : 'end',
    `${drawn}`,
    `${revised}`,
    entropy === undefined ? '–' : entropy.toFixed(2),
  ]),
)}
<div class="heats" style="--columns: ${broadest(grids)}">${pictures.map(({ className, final }, i) =>
    grids.map((grid, k) => {
      const first = cellsIn(grids.slice(0, k));
      const part = final.slice(first, first + cellsIn([grid]));
      const of = `${className ? `, ${className}` : ''}${grids.length > 1 ? `, ${grid.name} grid` : ''}`;
      return gridTable(grid, part, `Sample ${i}${of}: the pass that drew each code`, 0);
    }),
  )}</div>`;
}

const hidden = html` hidden`;
const none = html``;

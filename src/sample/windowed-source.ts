/**
 * Pictures larger than a prior was trained on, or of another shape: a window of the trained size goes over a sheet of
 * codes, and what it finds drawn is known (after the sliding window of Esser et al., arXiv 2012.09841, §3.4, which moves
 * by a code and computes all that it sees anew each time; this one moves by half of its side, or three quarters).
 */
import { expected } from '../base/errors.js';
import { must } from '../base/lookup.js';
import { type Disposable, opened } from '../base/opened.js';
import { stream } from '../base/rng.js';
import type { Config } from '../config/schema.js';
import { type Extent, fromBytes } from '../data/pictures.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import { unknown } from '../stage2-transformer/canvas.js';
import type { Prior } from '../stage2-transformer/prior.js';
import { drawnGrids, drawTold } from '../stage2-transformer/told.js';
import { openConditioner } from '../tokenize/conditions/index.js';
import { coarsestSide } from './canvas-of.js';
import { blankSheet, codesIn, cropped, type Sheet, write } from './code-sheet.js';
import { type Told, toldBy, toldRows } from './conditions.js';
import { decodeSheet } from './decode-sheet.js';
import { reportInt8Loss } from './int8-loss.js';
import { loadedOf, tellOfBest } from './loaded.js';
import { checkPrecision, drawingOf, ofEach, weightsOf } from './prior-source.js';
import type { Drawn, Source, SourceOptions } from './source.js';
import { stepAnywhere, stepInOrder, type Window, wavesOf, windowsFrom } from './windows.js';

/** Windows drawn at a time, always as many: none depends on what else is drawn. */
const atOnce = 4;

/** @param extent pixels. @throws UserError as `priorSource`, and for an extent that is no whole number of codes */
export const windowedSource = (o: SourceOptions, extent: Extent): Promise<Source> =>
  opened((note) => openWindowed(o, extent, note));

async function openWindowed(
  o: SourceOptions,
  extent: Extent,
  note: <D extends Disposable>(thing: D) => D,
): Promise<Omit<Source, 'dispose'>> {
  const { run, device, precision, reporter, signal } = o;
  const loaded = loadedOf(o);
  const { config } = loaded;
  checkExtent(extent, config);
  const trained = await loaded.models();
  const { prior, tokenizer } = trained;
  const { model } = prior;
  checkPrecision(precision, model);
  const conditioner = prior.told && note(await openConditioner(prior.told, { run, device, reporter }));
  const told = await toldBy(o, { config, conditioner, extent });
  const { seed, name, settings, cfgScale, passes, classOf, ...how } = drawingOf(o, config, model, told);
  const { fileOf, chanceOf } = ofEach(told, o);
  const grids = drawnGrids(model);
  const cell = config.data.size / coarsestSide(grids);
  tellOfBest(trained, reporter);
  const int8 =
    precision === 'int8'
      ? await reportInt8Loss({ run, config, prior, tokenizer, device, reporter, signal })
      : undefined;
  const sides = sidesOf(extent, config, model);
  const { rows, columns } = sides.drawn;
  const windows = windowsFrom({ left: 0, top: 0 }, { rows, columns, side: sides.side }, sides.step);
  const rounds = wavesOf(windows, sides.side).flatMap((wave) => inParts(wave, atOnce));
  const drawer = note(await model.open(device, prior.tensors, { batch: atOnce, cfgScale, precision }));
  const ofWindow = passes?.steps ?? cellsIn(model.grids);

  /** Draws the windows of a round into the sheet. */
  const fill = async (
    sheet: Sheet,
    round: readonly Window[],
    { picture, told }: { picture: number; told?: Told },
    onPlace: (at: number) => void,
  ) => {
    const batch = Array.from({ length: atOnce }, (_, i) => round[i] ?? must(round[0], 'window'));
    const codes = await drawTold(
      drawer,
      model,
      {
        codes: Int32Array.from(batch.flatMap((window) => [...codesIn(sheet, window)])),
        labels: new Int32Array(atOnce).fill(classOf(picture)),
      },
      {
        ...{ ...how, passes, onPlace, signal },
        random: batch.map((window) => stream(seed, 'sample', ...chanceOf(picture), ...placeOf(window))),
        told: toldRows(
          model,
          await Promise.all(batch.map(({ left, top }) => told?.codes(left * cell, top * cell))),
        ),
      },
    );
    const cells = codes.length / atOnce;
    for (const [i, window] of round.entries())
      write(sheet, window, codes.subarray(i * cells, (i + 1) * cells));
  };

  return {
    seed,
    name: `${name}_${extent.width}x${extent.height}`,
    size: extent.width,
    tall: extent.height,
    batch: 1,
    places: rounds.length * ofWindow,
    told,
    tokens: (sides.rows * sides.columns * cellsIn(grids)) / sides.side ** 2,
    classes: model.condition.classes,
    settings,
    weights: weightsOf({ prior, tokenizer }),
    int8,
    async draw(picture, onPlace): Promise<Drawn> {
      const before = performance.now();
      const sheet = blankSheet(grids, rows, columns);
      let unfinished = false;
      try {
        for (const [i, round] of rounds.entries())
          await fill(sheet, round, { picture, told: fileOf(picture) }, (at) => onPlace(i * ofWindow + at));
      } catch (error) {
        if (!signal?.aborted || sheet.codes.every((codes) => codes.every((code) => code === unknown)))
          throw error;
        unfinished = true;
      }
      const seconds = (performance.now() - before) / 1000;
      const wanted = cropped(sheet, sides.rows, sides.columns);
      const { data } = await decodeSheet(wanted, { config, tokenizer, device });
      return { images: [fromBytes(data)], labels: Int32Array.of(classOf(picture)), seconds, unfinished };
    },
  };
}

/** The first has the chance that a picture of the trained size has. */
const placeOf = ({ top, left }: Window): number[] => (top === 0 && left === 0 ? [] : [top, left]);

const inParts = <T>(all: readonly T[], length: number): T[][] =>
  Array.from({ length: Math.ceil(all.length / length) }, (_, i) => all.slice(i * length, (i + 1) * length));

/** In cells of the coarsest grid: the picture, and what is drawn for it, which is at least a window. */
function sidesOf({ width, height }: Extent, { data: { size } }: Config, prior: Prior) {
  const side = coarsestSide(drawnGrids(prior));
  const [rows, columns] = [(height * side) / size, (width * side) / size];
  return {
    ...{ side, rows, columns },
    drawn: { rows: Math.max(rows, side), columns: Math.max(columns, side) },
    step: prior.draws === 'in order' ? stepInOrder(side) : stepAnywhere(side),
  };
}

const mostPixels = 2 ** 25;

/** @throws UserError for one that no run of the kind can draw, is no whole number of codes, or too large */
function checkExtent({ width, height }: Extent, config: Config): void {
  const given = `${width}x${height}`;
  const { latent } = bottleneckOf(config);
  if (latent.kind !== 'codes') {
    const next = 'Its pictures are drawn whole, from numbers; those of codes can be continued.';
    throw expected('nothing', '--size', `${given} for a run without codes`, next);
  }
  const cell = config.data.size / coarsestSide(latent.grids);
  if (width % cell > 0 || height % cell > 0) {
    const near = (side: number) => Math.max(1, Math.round(side / cell)) * cell;
    throw expected(
      `multiples of ${cell}, the pixels of a code,`,
      '--size',
      given,
      `Try --size ${near(width)}x${near(height)}.`,
    );
  }
  if (width * height > mostPixels) throw expected(`at most ${mostPixels} pixels`, '--size', given);
}

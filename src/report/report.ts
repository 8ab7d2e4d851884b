/** `vqgen report`: what stands in one run or several, as one HTML file. */
import path from 'node:path';
import { expected } from '../base/errors.js';
import { writeFileAtomic } from '../base/files.js';
import { word } from '../base/shell.js';
import { readRunConfig, runPaths } from '../checkpoint/run.js';
import { shippedName } from '../checkpoint/shipped.js';
import { inferenceBatch } from '../data/inference-batch.js';
import { vqgenSpace } from '../evaluate/features.js';
import { checkOut } from '../sample/out.js';
import { pageScript } from './assets.js';
import { type Book, bookUse, codebookOf, codebookSection, codebookStyle } from './codebook.js';
import { codedOf } from './coded.js';
import { documentOf, type Html, html } from './document.js';
import { type Film, filmOf, filmSection } from './film.js';
import { type Heat, heatOf, heatSection } from './heat.js';
import { type Opened, openRun, type ReportOptions } from './opened.js';
import { isMissing, type Part, shown, table } from './part.js';
import { reconstructionsSection } from './reconstructions.js';
import { type Samples, samplesOf, samplesSection } from './samples.js';
import { type Setup, setupOf, setupSection } from './setup.js';
import { halvesOf, type Shares, sharesOf, sharesSection } from './shares.js';
import { reportStyle } from './style.js';
import { type Training, trainingAssets, trainingOf, trainingSection } from './training.js';
import { type Unseen, unseenOf } from './unseen.js';

export type { ReportOptions } from './opened.js';

export interface ReportSummary {
  readonly runs: readonly string[];
  readonly out: string;
  readonly bytes: number;
  readonly seconds: number;
}

/** What is shown of a run. */
export interface RunReport {
  readonly name: string;
  /** As commands take it. */
  readonly run: string;
  readonly training: Training;
  readonly unseen: Part<Unseen>;
  readonly books: Part<readonly Book[]>;
  readonly samples: Part<Samples>;
  readonly heat: Part<Heat>;
  /** Undefined of what draws in no passes. */
  readonly film: Part<Film> | undefined;
  readonly shares: Part<Shares>;
  readonly draws: 'prior' | 'numbers';
  readonly setup: Setup;
}

/** @throws UserError where there is no run, no image in `data`, or where nothing can be written */
export async function report(o: ReportOptions): Promise<ReportSummary> {
  const started = performance.now();
  const [first] = o.runs;
  if (first === undefined) throw new Error('internal: a report of no run');
  if (o.n < 2) throw expected('at least 2', '--n', o.n, 'One sample has no covariance.');
  const out = o.out ?? placeIn(first);
  checkPlaces(o, out);
  const names = namesOf(o.runs);
  const reports: RunReport[] = [];
  for (const [i, run] of o.runs.entries()) {
    if (o.runs.length > 1) o.reporter.note(`${run}:`);
    reports.push(await runReport(await openRun(run, o), names[i] ?? run));
  }
  const page = pageOf(reports);
  await writeFileAtomic(out, page);
  const { runs } = o;
  return { runs, out, bytes: Buffer.byteLength(page), seconds: (performance.now() - started) / 1000 };
}

const fileName = 'report.html';

/** Nothing is written into a run that comes with vqgen. */
const placeIn = (run: string): string =>
  path.join(shippedName(run) === undefined ? run : runPaths(run).samples, fileName);

function checkPlaces({ runs, data }: ReportOptions, out: string): void {
  for (const run of runs) {
    const { dir, val_dir } = readRunConfig(run).data;
    checkOut(out, { run, read: [data, dir, val_dir] }, '--out', fileName);
  }
  const twice = runs.find((run, i) => runs.findIndex((o) => path.resolve(o) === path.resolve(run)) < i);
  if (twice !== undefined) throw expected('each run once', 'RUN', `${twice} twice`);
}

/** The folders' names, or where two are alike their paths. */
function namesOf(runs: readonly string[]): string[] {
  const names = runs.map((run) => path.basename(path.resolve(run)));
  return names.map((name, i) => (names.indexOf(name) === names.lastIndexOf(name) ? name : (runs[i] ?? name)));
}

/** Gathers all of a run. */
export async function runReport(o: Opened, name: string): Promise<RunReport> {
  const unseen = await unseenOf(o);
  const coded = await codedOf(o, unseen);
  const books = await codebookOf(o, { unseen, coded });
  const heat = await heatOf(o, { unseen, coded });
  const { samples, shares } = await drawn(o, unseen);
  const film = await filmOf(o);
  const training = { ...(await trainingOf(o.run)), name };
  const setup = await setupOf(o, isMissing(samples) ? 16 : samples.shown.length);
  const draws = o.latent.kind === 'codes' ? 'prior' : 'numbers';
  const run = shippedName(o.run) ?? o.run;
  return { name, run, training, unseen, books, samples, heat, film, shares, draws, setup };
}

async function drawn(o: Opened, unseen: Part<Unseen>) {
  const { tokenizer, device, config } = o;
  if (isMissing(tokenizer)) return { samples: tokenizer, shares: tokenizer };
  const { size } = config.data;
  const space = await vqgenSpace(device, size, inferenceBatch(size));
  try {
    const halves = await halvesOf(unseen, space, o.n);
    const samples = await samplesOf(o, {
      space,
      measured: isMissing(halves) ? 0 : halves.pictures.count,
      classes: isMissing(halves) ? [] : halves.classes,
      reconstructions: isMissing(halves) ? new Float32Array() : halves.features,
    });
    return { samples, shares: sharesOf(halves, samples) };
  } finally {
    await space.dispose();
  }
}

/** The whole document. */
export function pageOf(runs: readonly RunReport[]): string {
  const title = runs.map(({ name }) => name).join(', ');
  const training = runs.map((run) => run.training);
  const assets = trainingAssets(training);
  const films = runs.some(({ film }) => film !== undefined);
  return documentOf({
    title: `${title}: a report of vqgen`,
    body: html`<header><h1>${title}</h1>
<p class="faint">${runs.length > 1 ? `${runs.length} runs side by side` : 'A run'}, as <code>vqgen report</code> found ${runs.length > 1 ? 'them' : 'it'}. All is in this file.</p>
<nav aria-label="Sections"><ul>${[['overview', 'Overview'], ...sections(runs).map(({ id, title }) => [id, title])].map(([id = '', title = '']) => html`<li><a href="#${id}">${title}</a></li>`)}</ul></nav></header>
<main>
<section id="overview"><h2>Overview</h2>${overview(runs)}</section>
<div id="training">${trainingSection(training)}</div>
${sections(runs)
  .slice(1)
  .map(
    ({ id, title, about, show }) => html`<section id="${id}"><h2>${title}</h2>
${about}
<div class="${runs.length > 1 ? 'side' : 'one'}">${runs.map((run, i) => html`<div>${runs.length > 1 ? html`<h3>${run.name}</h3>` : ''}${show(run, i)}</div>\n`)}</div></section>\n`,
  )}
</main>`,
    styles: [
      ...assets.styles,
      reportStyle,
      ...runs.flatMap(({ books }, i) => (isMissing(books) ? [] : [codebookStyle(books, `${i}`)])),
    ],
    scripts: [...assets.scripts, pageScript('compare'), ...(films ? [pageScript('film')] : [])],
    data: assets.data,
  });
}

interface Section {
  readonly id: string;
  readonly title: string;
  readonly about: Html;
  show(run: RunReport, i: number): Html;
}

const nothing = html``;

function sections(runs: readonly RunReport[]): readonly Section[] {
  const films = runs.some(({ film }) => film !== undefined);
  return [
    { id: 'training', title: 'Training', about: nothing, show: () => nothing },
    {
      id: 'reconstructions',
      title: 'Reconstructions',
      about: matched(runs),
      show: ({ unseen }) => shown(unseen, reconstructionsSection),
    },
    {
      id: 'codebook',
      title: 'Codebook',
      about: nothing,
      show: ({ books }, i) => shown(books, (books) => codebookSection(books, `${i}`)),
    },
    {
      id: 'samples',
      title: 'Samples',
      about: nothing,
      show: ({ samples, run }) => shown(samples, (samples) => samplesSection(samples, word(run))),
    },
    {
      id: 'bits',
      title: 'What the prior expects',
      about: nothing,
      show: ({ heat }) => shown(heat, heatSection),
    },
    ...(films
      ? [
          {
            id: 'film',
            title: 'How a picture is drawn',
            about: nothing,
            show: ({ film }: RunReport) =>
              film ? shown(film, filmSection) : html`<p class="missing">This run draws in no passes.</p>`,
          },
        ]
      : []),
    {
      id: 'honest',
      title: 'Whose error it is',
      about: html`<p>Nothing on this page was chosen by its looks: samples are the first of a seed, pictures are spread
evenly over the unseen ones.</p>`,
      show: ({ shares, draws }) => shown(shares, (shares) => sharesSection(shares, draws)),
    },
    {
      id: 'setup',
      title: 'How it was made',
      about: nothing,
      show: ({ setup }) => setupSection(setup),
    },
  ];
}

/** Whether the pictures of several runs are the same, one beside the other. */
function matched(runs: readonly RunReport[]): Html {
  if (runs.length < 2) return nothing;
  const names = runs.map(({ unseen }) =>
    isMissing(unseen) ? '' : unseen.shown.map(({ name }) => name).join('\n'),
  );
  const alike = names.every((name) => name === names[0] && name !== '');
  return alike
    ? html`<p>The same pictures of each run, in the same order.</p>`
    : html`<p class="missing">The pictures are not the same: the runs have other unseen pictures, or none. With --data
FOLDER all are shown the same.</p>`;
}

function overview(runs: readonly RunReport[]): Html {
  const row = (name: string, of: (run: RunReport) => string) => [name, ...runs.map(of)];
  const last = (run: RunReport, key: 'pictures' | 'reconstructions' | 'samples'): string =>
    isMissing(run.shares) ? '–' : (run.shares[key]?.toFixed(3) ?? '–');
  return table(
    'In short',
    ['', ...runs.map(({ name }) => name)],
    [
      row('PSNR of unseen pictures, dB', ({ unseen }) => (isMissing(unseen) ? '–' : unseen.psnr.toFixed(2))),
      row('codes used', ({ books }) => (isMissing(books) ? '–' : bookUse(books))),
      row('bits a token', ({ heat }) => (isMissing(heat) ? '–' : heat.mean.toFixed(2))),
      row('fd_vqgen of unseen pictures', (run) => last(run, 'pictures')),
      row('fd_vqgen of reconstructions', (run) => last(run, 'reconstructions')),
      row('fd_vqgen of samples', (run) => last(run, 'samples')),
      row('N of each', ({ shares }) => (isMissing(shares) ? '–' : `${shares.n}`)),
    ],
  );
}

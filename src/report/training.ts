/** How a run's stages were trained, from their `metrics.jsonl`: curves, and the section of a page that shows them. */
import path from 'node:path';
import { UserError } from '../base/errors.js';
import { formatDuration, formatNumber } from '../base/progress.js';
import { metricsFile, readSavedConfig, runPaths, type StageName } from '../checkpoint/run.js';
import { latestCheckpoint, readState } from '../checkpoint/store.js';
import { type Line, lineIn } from '../train/metrics.js';
import { chartLibrary, pageScript } from './assets.js';
import { chartsOf, idleKeys, keysOf, kindOf, type Split, type StageTraining } from './charts.js';
import { type DocumentOptions, type Html, html } from './document.js';
import { atStart, type Place, readLines } from './lines.js';
import { addPoint, cutFrom, pointsOf, startThinning, type Thinning } from './thinning.js';

/** What a run's metrics say. */
export interface Training {
  /** The folder's name. */
  readonly name: string;
  /** Those that have lines. */
  readonly stages: readonly StageTraining[];
}

export const stageNames: readonly StageName[] = ['stage1', 'prior'];

export const titles: Record<StageName, string> = { stage1: 'Tokenizer', prior: 'Prior' };

/** All lines of a run's metrics, as curves of at most about 1,000 points each. Of a run without any, no stages. */
export async function trainingOf(run: string): Promise<Training> {
  const stages = await Promise.all(
    stageNames.map(async (stage) => {
      const follower = followStage(run, stage);
      await follower.update();
      return follower.training();
    }),
  );
  return { name: path.basename(path.resolve(run)), stages: stages.filter((one) => one !== undefined) };
}

/** The metrics of a stage that may be in training. */
export interface Follower {
  /** Reads what was written since. @returns whether there was anything */
  update(): Promise<boolean>;
  /** All that was read so far; undefined without lines. */
  training(): StageTraining | undefined;
  /** Seconds a step took lately, validations and saving included; undefined before there were two lines. */
  pace(): number | undefined;
}

/** Lines by which the pace is told. */
const lately = 10;

export function followStage(run: string, stage: StageName): Follower {
  const folder = runPaths(run)[stage];
  let place: Place = atStart;
  let curves = new Map<string, { key: string; split: Split; points: Thinning }>();
  let newest: Line[] = [];
  let restarts: number[] = [];
  let made: StageTraining | undefined;

  const anew = (): void => {
    curves = new Map();
    newest = [];
    restarts = [];
  };
  const take = (line: Line): void => {
    const { step, split } = line;
    if (step < (newest.at(-1)?.step ?? 0)) {
      restarts.push(step);
      for (const { points } of curves.values()) cutFrom(points, step);
      newest = newest.filter((earlier) => earlier.step < step);
    }
    newest = [...newest.slice(1 - lately), line];
    for (const [key, value] of Object.entries(line)) {
      if (typeof value !== 'number' || notCurves.includes(key)) continue;
      const name = `${split} ${key}`;
      const curve = curves.get(name) ?? { key, split, points: startThinning() };
      curves.set(name, curve);
      addPoint(curve.points, step, value);
    }
  };

  return {
    async update() {
      const before = place;
      place = await readLines(metricsFile(folder), place, {
        line: (text) => lineIn(text).forEach(take),
        anew,
      });
      if (place !== before) made = undefined;
      return place !== before;
    },
    training() {
      const last = newest.at(-1);
      made ??= last && {
        ...{ stage, step: last.step, steps: stepsOf(run, stage), seconds: last.time_s, restarts },
        ...rollbacksOf(folder),
        curves: [...curves.values()].map(({ points, ...curve }) => ({ ...curve, ...pointsOf(points) })),
      };
      return made;
    },
    pace() {
      const [first, last] = [newest.at(0), newest.at(-1)];
      if (!first || !last || last.step === first.step) return undefined;
      return (last.time_s - first.time_s) / (last.step - first.step);
    },
  };
}

const notCurves = ['step', 'time_s'];

/** As the run's config has it. */
export function stepsOf(run: string, stage: StageName): number | undefined {
  const { steps } = Object(orNothing(() => readSavedConfig(run))?.[stage]) as { steps?: unknown };
  return typeof steps === 'number' ? steps : undefined;
}

function rollbacksOf(folder: string): { rollbacks: number; factor: number } {
  const checkpoint = latestCheckpoint(folder);
  const { rollbacks = 0, factor = 1 } = (checkpoint && orNothing(() => readState(checkpoint)))?.guard ?? {};
  return { rollbacks, factor };
}

/** What is damaged says nothing here. */
export function orNothing<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** The section, to which `trainingAssets` belong: a heading, and of each stage what it came to and its charts. */
export const trainingSection = (runs: readonly Training[]): Html => html`<section class="training">
<h2>Training</h2>
<p class="faint">Thin lines: means over training steps. Thick lines: validation.${runs.length > 1 ? ' Values of a run: training / validation.' : ''}
Move over a chart, or step through it with the arrow keys, to read values; drag to zoom, double-click to see all again.</p>
${runs.length > 1 ? html`<ul class="runs">${runs.map(({ name }, i) => html`<li><span style="--run: var(--run-${i % colours})"></span>${name}</li>`)}</ul>\n` : ''}<label class="log-axis"><input type="checkbox"> Losses on a logarithmic axis</label>
<noscript><p>Charts are drawn by a script; the tables hold the last values.</p></noscript>
${stageNames.map(
  (stage) => html`<div class="stage" data-stage="${stage}">
<h3>${titles[stage]}</h3>
<div class="facts">
${stageFacts(stage, runs)}
</div>
<div class="charts"></div>
</div>
`,
)}</section>
`;

const stageOf = ({ stages }: Training, wanted: StageName): StageTraining | undefined =>
  stages.find(({ stage }) => stage === wanted);

/** In words and numbers what one stage came to. */
export function stageFacts(stage: StageName, runs: readonly Training[]): Html {
  const present = runs.flatMap((run) => stageOf(run, stage) ?? []);
  const named = (run: Training): string => (runs.length > 1 ? `${run.name}: ` : '');
  return html`${runs.map((run) => html`<p>${named(run)}${factsOf(stage, stageOf(run, stage))}</p>\n`)}${present.length > 0 ? lastValues(stage, runs, present) : ''}`;
}

function factsOf(stage: StageName, one: StageTraining | undefined): string {
  if (!one)
    return stage === 'stage1'
      ? 'There are no metrics of a tokenizer in this run.'
      : 'There are no metrics of a prior in this run.';
  const { step, steps, seconds, restarts, rollbacks, factor } = one;
  const anew = restarts.length > 0 ? ` Trained anew from step ${restarts.map(grouped).join(', ')}.` : '';
  const back =
    rollbacks > 0
      ? ` Taken back ${rollbacks === 1 ? 'once' : `${rollbacks} times`} because values went wrong; on with 1/${Math.round(1 / factor)} of the learning rate.`
      : '';
  const of = steps === undefined || steps === step ? '' : ` of ${grouped(steps)}`;
  return `${grouped(step)}${of} steps in ${formatDuration(seconds)}.${anew}${back}`;
}

const grouped = (n: number): string => n.toLocaleString('en');

const splits: readonly Split[] = ['train', 'val'];

/** A table of them. */
function lastValues(stage: StageName, runs: readonly Training[], present: readonly StageTraining[]): Html {
  const idle = idleKeys(present);
  const keys = keysOf(present).filter((key) => !idle.includes(key));
  const cell = (run: Training, key: string, split: Split): string => {
    const curve = stageOf(run, stage)?.curves.find((c) => c.key === key && c.split === split);
    const value = curve?.y.at(-1);
    return value === undefined ? '' : formatNumber(value * (kindOf(stage, key).times ?? 1));
  };
  const row = (key: string): Html => {
    const { title, unit } = kindOf(stage, key);
    const cells = runs.flatMap((run) =>
      splits.map((split) => html`<td class="number">${cell(run, key, split)}</td>`),
    );
    return html`<tr><th scope="row">${title}${unit ? html` <small>${unit}</small>` : ''}</th>${cells}</tr>\n`;
  };
  const names = html`<tr><td></td>${runs.map(({ name }) => html`<th scope="colgroup" colspan="2">${name}</th>`)}</tr>\n`;
  return html`<details><summary>Last values</summary>
<div class="wide"><table>
<thead>${runs.length > 1 ? names : ''}<tr><td></td>${runs.map(() => html`<th scope="col" class="number">training</th><th scope="col" class="number">validation</th>`)}</tr></thead>
<tbody>
${keys.map(row)}</tbody>
</table></div>
${idle.length > 0 ? html`<p class="faint">Always 0, and not drawn: ${idle.map((key) => kindOf(stage, key).title.toLowerCase()).join(', ')}.</p>` : ''}
</details>`;
}

/** What a page with the section needs beside it. */
export function trainingAssets(
  runs: readonly Training[],
): Required<Pick<DocumentOptions, 'styles' | 'scripts' | 'data'>> {
  const { script, style } = chartLibrary();
  return {
    styles: [style, styleOfCurves],
    scripts: [`${script}\n${pageScript('curves')}`],
    data: { curves: stageNames.map((stage) => stageCharts(stage, runs)) },
  };
}

/** What `page/curves.ts` draws of one stage. */
export const stageCharts = (stage: StageName, runs: readonly Training[]) =>
  chartsOf(
    stage,
    runs.map(({ name }) => name),
    runs.map((run) => stageOf(run, stage)),
  );

/** Runs beyond take a colour again. */
const colours = 6;

const styleOfCurves = `
:root {
  --run-0: light-dark(#0b62a4, #6db7f2);
  --run-1: light-dark(#b3540a, #f0a35e);
  --run-2: light-dark(#1a7f4b, #6fce9b);
  --run-3: light-dark(#96308c, #e08bd6);
  --run-4: light-dark(#7a6a00, #d8c650);
  --run-5: light-dark(#a3243b, #f28a9b);
}
.runs { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; }
.runs span { display: inline-block; width: 1.25rem; height: 0.25rem; margin-right: 0.4rem; vertical-align: middle; background: var(--run); }
.log-axis { display: inline-block; padding: 0.25rem 0; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); gap: 0.5rem 1.25rem; }
.charts h4 { grid-column: 1 / -1; margin: 0.75rem 0 0; font-size: 0.875rem; font-weight: 600; color: var(--faint); }
.chart { margin: 0; min-width: 0; }
.chart figcaption { color: var(--ink); }
.chart output { display: block; min-height: 1.5em; color: var(--faint); font-size: 0.8125rem; font-variant-numeric: tabular-nums; }
.chart .value { display: inline-block; margin-right: 0.75rem; }
.chart .value::before { content: ''; display: inline-block; width: 0.75rem; height: 0.25rem; margin-right: 0.3rem; vertical-align: middle; background: var(--run); }
.plot { height: 10.5rem; overflow: hidden; }
.plot .u-cursor-x { border-color: var(--faint); }
.plot .u-select { background: color-mix(in srgb, var(--accent) 20%, transparent); }
`;

/**
 * A run while it is trained, for a page that asks again and again. All is read from the run's files: the training does
 * not know of it, and nothing is written.
 */
import { createHash } from 'node:crypto';
import { readdirSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { holderOf } from '../base/lock.js';
import { formatDuration, formatNumber } from '../base/progress.js';
import { readRegular } from '../base/regular-file.js';
import {
  gridFile,
  noSuchRun,
  readSavedConfig,
  runPaths,
  type StageName,
  stepName,
} from '../checkpoint/run.js';
import { isStale, latestCheckpoint, readState } from '../checkpoint/store.js';
import { pageScript } from './assets.js';
import { kindOf, type Look, type StageTraining } from './charts.js';
import { documentOf, type Html, html } from './document.js';
import type { Answer } from './server.js';
import {
  type Follower,
  followStage,
  orNothing,
  stageCharts,
  stageFacts,
  stageNames,
  stepsOf,
  type Training,
  titles,
  trainingAssets,
  trainingSection,
} from './training.js';

export interface WatchedRun {
  /** Looks whether anything has changed. */
  look(): Promise<Look>;
  /** What is behind an address, if anything. */
  answer(asked: URL): Promise<Answer | undefined>;
}

/** @throws UserError where there is no run: neither its config nor a process that begins it */
export function watchRun(run: string): WatchedRun {
  const begins = stageNames.some((stage) => holderOf(runPaths(run)[stage]));
  if (readSavedConfig(run) === undefined && !begins) throw noSuchRun(run);
  const name = path.basename(path.resolve(run));
  const followers = stageNames.map((stage) => ({ stage, version: 0, follower: followStage(run, stage) }));
  const training = (): Training => ({
    name,
    stages: followers.flatMap(({ follower }) => follower.training() ?? []),
  });
  let looking: Promise<Look> | undefined;

  const lookNow = async (): Promise<Look> => {
    const states: StageState[] = [];
    for (const one of followers) {
      if (await one.follower.update()) one.version++;
      states.push(stateOf(run, one.stage, one.follower));
    }
    const tokenizing = held(runPaths(run).tokens);
    const busy = tokenizing || states.some(({ doing }) => doing === 'training' || doing === 'elsewhere');
    const [at] = states.filter(({ doing }) => doing === 'training');
    return {
      title: `${at?.progress ? `${Math.floor(100 * at.progress)} % · ` : ''}${name}`,
      busy,
      state: stateSection(states, tokenizing).html,
      versions: Object.fromEntries(
        followers.map(({ stage, version }) => [stage, version]),
      ) as Look['versions'],
      grids: gridSteps(run),
      samples: newestSamples(run)?.tag ?? '',
    };
  };
  const look = (): Promise<Look> => {
    looking ??= lookNow().finally(() => {
      looking = undefined;
    });
    return looking;
  };

  return {
    look,
    async answer({ pathname, searchParams }) {
      if (pathname === '/') {
        await look();
        return page(run, training());
      }
      if (pathname === '/state') {
        const body = JSON.stringify(await look());
        return { type: 'application/json', body, tag: digest(body) };
      }
      if (pathname === '/stage') {
        const one = followers.find(({ stage }) => stage === searchParams.get('name'));
        if (!one) return undefined;
        const runs = [training()];
        const { stage } = one;
        const body = JSON.stringify({
          facts: stageFacts(stage, runs).html,
          charts: stageCharts(stage, runs),
        });
        return { type: 'application/json', body };
      }
      if (pathname === '/grid') {
        const step = Number(searchParams.get('step'));
        return gridSteps(run).includes(step) ? picture(run, gridFile(runPaths(run).stage1, step)) : undefined;
      }
      const samples = pathname === '/samples' ? newestSamples(run) : undefined;
      return samples && picture(run, samples.file);
    },
  };
}

const digest = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 16);

function page(run: string, training: Training): Answer {
  const assets = trainingAssets([training]);
  const body = documentOf({
    title: training.name,
    live: true,
    body: html`<header><h1>${training.name}</h1>
<p class="faint">${run}</p>
<p id="ended" role="status" hidden>vqgen watch has ended: this is what it showed last.</p></header>
<main>
<div id="state"></div>
<section id="reconstructions" hidden>
<h2>Reconstructions</h2>
<figure class="grid"><img class="pixels" alt="Originals above their reconstructions">
<figcaption><label>Originals above their reconstructions, step <output></output> <input type="range" min="0" step="1"></label></figcaption></figure>
</section>
<section id="samples" hidden>
<h2>Newest samples</h2>
<figure class="grid"><img class="pixels" alt="Pictures that the prior drew"></figure>
</section>
${trainingSection([training])}</main>
`,
    styles: [...assets.styles, style],
    scripts: [...assets.scripts, pageScript('watch')],
    data: assets.data,
  });
  return { type: 'text/html; charset=utf-8', body };
}

const style = `
#ended { color: var(--run-1); }
.stages { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 0 2rem; }
.stages p { min-height: 1.5em; }
.stages h2 { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; margin-top: 1.25rem; }
.stages h2 small { font-weight: 400; }
.stages progress { width: 100%; accent-color: var(--accent); }
.grid img { display: block; width: min(100%, 48rem); }
.grid input { width: min(100%, 20rem); vertical-align: middle; accent-color: var(--accent); }
`;

interface StageState {
  readonly stage: StageName;
  /** `elsewhere`: by a process of which nothing can be seen from here. */
  readonly doing: 'training' | 'elsewhere' | 'finished' | 'stopped' | 'nothing';
  /** Share of its steps. */
  readonly progress: number;
  readonly at?: StageTraining;
  readonly steps?: number;
  readonly secondsLeft?: number;
}

function stateOf(run: string, stage: StageName, follower: Follower): StageState {
  const at = follower.training();
  const steps = stepsOf(run, stage);
  const step = at?.step ?? 0;
  const holder = holding(runPaths(run)[stage]);
  const doing = holder
    ? holder.fate === 'alive'
      ? 'training'
      : 'elsewhere'
    : isFinished(run, stage, steps)
      ? 'finished'
      : at
        ? 'stopped'
        : 'nothing';
  const pace = follower.pace();
  const secondsLeft = steps !== undefined && pace !== undefined ? pace * (steps - step) : undefined;
  return { stage, doing, at, steps, progress: steps ? Math.min(step / steps, 1) : 0, secondsLeft };
}

const holding = (place: string) => orNothing(() => holderOf(place));

const held = (place: string): boolean => holding(place) !== undefined;

/** Whether its newest checkpoint is of the last step, or it ended early. */
function isFinished(run: string, stage: StageName, steps = Number.POSITIVE_INFINITY): boolean {
  const checkpoint = latestCheckpoint(runPaths(run)[stage]);
  if (!checkpoint || checkpoint.step >= steps) return checkpoint !== undefined;
  const { patience } = Object(orNothing(() => readSavedConfig(run))?.[stage]) as { patience?: number };
  return isStale(orNothing(() => readState(checkpoint))?.stale, patience);
}

const words: Record<StageState['doing'], string> = {
  training: 'training',
  elsewhere: 'training on another computer, as far as can be seen from here',
  finished: 'finished',
  stopped: 'stopped',
  nothing: 'not begun',
};

const stateSection = (states: readonly StageState[], tokenizing: boolean): Html =>
  html`<div class="stages">${states.map(
    (one) => html`<section><h2>${titles[one.stage]} <small>${words[one.doing]}</small></h2>
${stageLines(one)}</section>
`,
  )}</div>
${tokenizing ? html`<p>Images are being turned into tokens.</p>\n` : ''}`;

function stageLines({ stage, at, steps, doing, progress, secondsLeft }: StageState): Html {
  if (!at)
    return html`<p class="faint">${doing === 'training' ? 'It begins.' : 'There are no metrics yet.'}</p>\n`;
  const of = steps === undefined ? '' : ` of ${steps.toLocaleString('en')}`;
  const left =
    doing === 'training' && secondsLeft !== undefined && secondsLeft > 0
      ? ` · about ${formatDuration(secondsLeft)} left`
      : '';
  const shown = telling.flatMap((key) => {
    const value = lastValue(at, key);
    const { title, unit, times = 1 } = kindOf(stage, key);
    const name = key.endsWith('_per_second') ? '' : title;
    return value === undefined ? [] : [`${name} ${formatNumber(value * times)} ${unit}`.trim()];
  });
  return html`<progress value="${progress}" aria-label="${titles[stage]}"></progress>
<p>Step ${at.step.toLocaleString('en')}${of} · ${formatDuration(at.seconds)}${left}</p>
<p class="faint">${shown.join(' · ')}</p>
`;
}

const telling = [
  'images_per_second',
  'tokens_per_second',
  'psnr',
  'label_accuracy',
  'codebook_usage',
  'bits_per_token',
];

/** Of a validation, where there is one. */
function lastValue({ curves }: StageTraining, key: string): number | undefined {
  const own = curves.filter((curve) => curve.key === key);
  return (own.find(({ split }) => split === 'val') ?? own[0])?.y.at(-1);
}

/** Steps of the grids of reconstructions, in turn. */
const gridSteps = (run: string): number[] =>
  listed(path.dirname(gridFile(runPaths(run).stage1, 0)))
    .map((name) => ({ name, step: Number(/^step-(\d{8,15})\.png$/.exec(name)?.[1]) }))
    .filter(({ name, step }) => name === `${stepName(step)}.png`)
    .map(({ step }) => step)
    .sort((a, b) => a - b);

/** The grid that was drawn last. */
function newestSamples(run: string): { file: string; tag: string } | undefined {
  const { samples } = runPaths(run);
  const grids = listed(samples).flatMap((name) => {
    const file = path.join(samples, name, 'grid.png');
    const stat = statSync(file, { throwIfNoEntry: false });
    return stat?.isFile()
      ? [{ file, time: stat.mtimeMs, tag: `${Math.round(stat.mtimeMs)}-${stat.size}` }]
      : [];
  });
  return grids.sort((a, b) => a.time - b.time).at(-1);
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

const mostBytes = 2 ** 26;

/** A PNG of the run, and nothing that a link in it leads to elsewhere. */
async function picture(run: string, file: string): Promise<Answer | undefined> {
  try {
    const inside = path.relative(realpathSync(run), realpathSync(file));
    if (inside.startsWith('..') || path.isAbsolute(inside)) return undefined;
    const body = await readRegular(file, mostBytes);
    const isPng = body.subarray(1, 4).toString('latin1') === 'PNG';
    return isPng ? { type: 'image/png', body, tag: digest(body.toString('latin1')) } : undefined;
  } catch {
    return undefined; // It may just have been replaced.
  }
}

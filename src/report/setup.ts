/** What a run was made with: its config, sizes, versions and times, and the commands that make it again. */
import { readFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { formatDuration } from '../base/progress.js';
import { version } from '../base/root.js';
import { word } from '../base/shell.js';
import { soundCheckpoint } from '../checkpoint/integrity.js';
import { runPaths, type StageName } from '../checkpoint/run.js';
import { countParams } from '../nn/params.js';
import { describeLatent } from '../stage1-vqgan/latent.js';
import { networksOf, stage1Params } from '../stage1-vqgan/model.js';
import { type Html, html } from './document.js';
import { type Opened, trainedOn } from './opened.js';
import { isMissing, table } from './part.js';

export interface Setup {
  /** YAML. */
  readonly config: string;
  readonly facts: readonly (readonly [string, string])[];
  readonly commands: readonly string[];
}

export async function setupOf(o: Opened, samples: number): Promise<Setup> {
  const { config, run, latent, prior, device } = o;
  const { encoder, bottleneck, decoder, discriminator } = stage1Params(networksOf(config));
  const coded = latent.kind === 'codes';
  const again = word('again');
  const { size } = config.data;
  return {
    config: stringify(config),
    facts: [
      ['trained by', `vqgen ${savedBy(run)}`],
      ['this page by', `vqgen ${version}, Node.js ${process.versions.node}, device ${device.name}`],
      ['pictures', `${size}×${size} pixels, ${trainedOn(run, config)}`],
      ['an image becomes', describeLatent(latent)],
      [
        'parameters of stage 1',
        `${inWords(encoder + bottleneck + decoder)}${discriminator > 0 ? `, discriminator ${inWords(discriminator)}` : ''}`,
      ],
      ...(isMissing(prior)
        ? []
        : ([
            [
              'prior',
              `${config.prior.kind}, ${inWords(countParams(prior.model.learned))} parameters, ${prior.model.described}`,
            ],
          ] as const)),
      ...(await stageFacts(o, 'stage1', 'stage 1')),
      ...(coded ? await stageFacts(o, 'prior', 'prior') : []),
      ['seed', `${config.seed}`],
    ],
    commands: [
      `vqgen train-stage1 --config again.yaml --run ${again}`,
      ...(coded ? [`vqgen tokenize --run ${again}`, `vqgen train-prior --run ${again}`] : []),
      `vqgen sample --n ${samples} --seed ${o.seed} --run ${again}`,
      `vqgen evaluate --run ${again}`,
    ],
  };
}

/** The version that wrote the config. */
function savedBy(run: string): string {
  const { vqgen } = JSON.parse(readFileSync(runPaths(run).config, 'utf8')) as { vqgen?: unknown };
  return typeof vqgen === 'string' ? vqgen : '(a version that it does not say)';
}

async function stageFacts(
  { run, config }: Opened,
  stage: StageName,
  name: string,
): Promise<[string, string][]> {
  const { sound } = await soundCheckpoint(runPaths(run)[stage], { best: stage === 'prior' });
  if (!sound) return [[name, 'not trained yet']];
  const { checkpoint, state, sha256 } = sound;
  const time = state.seconds > 0 ? ` in ${formatDuration(state.seconds)} of training` : '';
  return [
    [name, `step ${checkpoint.step} of ${config[stage].steps}${time}, weights sha256 ${sha256.slice(0, 12)}`],
  ];
}

function inWords(count: number): string {
  if (count >= 1e6) return `${(count / 1e6).toFixed(1)} M`;
  return count >= 1e3 ? `${(count / 1e3).toFixed(0)} k` : `${count}`;
}

export function setupSection({ config, facts, commands }: Setup): Html {
  return html`${table(
    'What it is',
    ['', ''],
    facts.map(([name, value]) => [name, html`<span class="text">${value}</span>`]),
  )}
<p>The same again, to the bit on the same kind of processor, once the config below is saved as <code>again.yaml</code>:</p>
<pre tabindex="0">${commands.join('\n')}</pre>
<details><summary>Config, as it was resolved</summary>
<pre tabindex="0">${config}</pre></details>`;
}

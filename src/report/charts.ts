/** What each key of `metrics.jsonl` shows, the charts made of them, what pages ask for. Nothing of Node in here. */

export type StageName = 'stage1' | 'prior';
export type Split = 'train' | 'val';

/** Points of one curve, by step. */
export interface Curve {
  readonly key: string;
  readonly split: Split;
  readonly x: readonly number[];
  readonly y: readonly number[];
}

/** Curves of one stage of a run. */
export interface StageTraining {
  readonly stage: StageName;
  /** Of the newest line. */
  readonly step: number;
  /** In all, where the run says. */
  readonly steps?: number;
  /** Training time up to the newest line. */
  readonly seconds: number;
  /** Steps before which lines of a later step stand in the file: from there on it was trained anew. */
  readonly restarts: readonly number[];
  /** How often it was taken back because it went wrong, and by what the learning rate was multiplied for it. */
  readonly rollbacks: number;
  readonly factor: number;
  readonly curves: readonly Curve[];
}

/** What a page draws. */
export interface Chart {
  readonly key: string;
  readonly title: string;
  readonly unit: string;
  /** Whether a logarithmic axis suits it. */
  readonly log: boolean;
  readonly lines: readonly { readonly run: number; readonly split: Split; x: number[]; y: number[] }[];
}

export interface StageCharts {
  readonly stage: StageName;
  /** Names, by whose places lines name them. */
  readonly runs: readonly string[];
  readonly groups: readonly { readonly title: string; readonly charts: readonly Chart[] }[];
  /** Steps at which a run was trained anew. */
  readonly restarts: readonly { readonly run: number; readonly step: number }[];
}

/** What the page of a run in training asks for every few seconds. */
export interface Look {
  readonly title: string;
  /** Whether a process writes into the run. */
  readonly busy: boolean;
  /** HTML: what each stage is at. */
  readonly state: string;
  /** Another one where a stage's curves have changed. */
  readonly versions: Readonly<Record<StageName, number>>;
  /** Steps at which there is a grid of reconstructions. */
  readonly grids: readonly number[];
  /** Of the newest samples; empty where there are none. */
  readonly samples: string;
}

interface Kind {
  readonly group: string;
  readonly title: string;
  readonly unit: string;
  readonly log?: boolean;
  /** Factor of what is shown. */
  readonly times?: number;
}

const group = (group: string, kinds: Record<string, Omit<Kind, 'group'>>): [string, Kind][] =>
  Object.entries(kinds).map(([key, kind]) => [key, { group, ...kind }]);

const share = { unit: '%', times: 100 };
const nats = { unit: 'nats a code', log: true };

const stage1Kinds = new Map<string, Kind>([
  ...group('Reconstruction', {
    loss: { title: 'Objective, all terms', unit: '', log: true },
    psnr: { title: 'PSNR', unit: 'dB' },
    l1: { title: 'Difference of pixels', unit: 'l1', log: true },
    perceptual: { title: 'Perceptual distance', unit: '', log: true },
    label_accuracy: { title: 'Labels that are right', ...share },
  }),
  ...group('Codebook', {
    codebook_usage: { title: 'Codes used', ...share },
    perplexity: { title: 'Perplexity', unit: 'codes' },
    codebook: { title: 'Codebook term', unit: '', log: true },
    commitment: { title: 'Commitment', unit: '', log: true },
    entropy: { title: "Entropy of a cell's codes", unit: 'nats' },
    codebook_entropy: { title: 'Entropy of all codes', unit: 'nats' },
  }),
  ...group('Latent', {
    kl: { title: 'KL divergence', unit: 'nats an image', log: true },
    active_units: { title: 'Active units', unit: '' },
    elbo: { title: 'Bound on the likelihood', unit: 'bits a number' },
  }),
  ...group('Adversary', {
    generator: { title: 'Generator', unit: '' },
    discriminator: { title: 'Discriminator', unit: '' },
    adaptive_weight: { title: 'Weight of the adversary', unit: '', log: true },
  }),
  ...group('What reconstructions have and images have not', {
    pattern_luma: { title: 'Pattern in brightness', unit: 'dB' },
    pattern_colour: { title: 'Pattern in colour', unit: 'dB' },
    pattern_lattice: { title: 'Pattern that repeats', unit: 'dB' },
    colour_shift: { title: 'Shift of mean colours', unit: 'of 255' },
  }),
  ...group('Speed', { images_per_second: { title: 'Speed', unit: 'images/s' } }),
]);

const priorKinds = new Map<string, Kind>([
  ...group('Prediction', {
    bits_per_token: { title: 'Cost of a code', unit: 'bits' },
    loss: { title: 'Loss', ...nats },
  }),
  ...group('Speed', { tokens_per_second: { title: 'Speed', unit: 'codes/s' } }),
]);

const scaleKinds = group('Float16', {
  loss_scale: { title: 'Loss scale', unit: '', log: true },
  disc_loss_scale: { title: "Loss scale of the adversary's", unit: '', log: true },
  skipped: { title: 'Steps skipped', ...share },
  disc_skipped: { title: "Adversary's steps skipped", ...share },
});

const kindsOf: Record<StageName, ReadonlyMap<string, Kind>> = {
  stage1: new Map([...stage1Kinds, ...scaleKinds]),
  prior: new Map([...priorKinds, ...scaleKinds]),
};

/** What a key shows; of one grid among several, `perplexity_top`, what the key does, and the grid's name. */
export function kindOf(stage: StageName, key: string): Kind {
  const kinds = kindsOf[stage];
  for (let end = key.length; end > 0; end = key.lastIndexOf('_', end - 1)) {
    const kind = kinds.get(key.slice(0, end));
    if (kind) return end === key.length ? kind : { ...kind, title: `${kind.title} (${key.slice(end + 1)})` };
  }
  return { group: 'Others', title: key, unit: '' };
}

/** Keys whose term never acted, in no run. */
export const idleKeys = (stages: readonly StageTraining[]): string[] =>
  keysOf(stages).filter((key) =>
    stages.every(({ curves }) => curves.every((curve) => curve.key !== key || curve.y.every((y) => y === 0))),
  );

/** In the order of the groups. */
export function keysOf(stages: readonly StageTraining[]): string[] {
  const [{ stage } = { stage: 'stage1' as const }] = stages;
  const keys = [...new Set(stages.flatMap(({ curves }) => curves.map(({ key }) => key)))];
  const known = [...kindsOf[stage].values()];
  const groups = [...new Set(known.map(({ group }) => group)), 'Others'];
  const titles = known.map(({ title }) => title);
  const place = (key: string): [number, number] => {
    const { group, title } = kindOf(stage, key);
    return [groups.indexOf(group), titles.findIndex((known) => title.startsWith(known))];
  };
  return keys
    .map((key) => ({ key, at: place(key) }))
    .sort((a, b) => a.at[0] - b.at[0] || a.at[1] - b.at[1])
    .map(({ key }) => key);
}

/**
 * A chart for each key that says something, in groups. Shares are in percent.
 *
 * @param stages of one stage, by run; undefined where a run has no lines of it
 */
export function chartsOf(
  stage: StageName,
  runs: readonly string[],
  stages: readonly (StageTraining | undefined)[],
): StageCharts {
  const present = stages.filter((one) => one !== undefined);
  const idle = idleKeys(present);
  const groups = new Map<string, Chart[]>();
  for (const key of keysOf(present)) {
    if (idle.includes(key)) continue;
    const { group, times = 1, log = false, title, unit } = kindOf(stage, key);
    const lines = stages.flatMap((one, run) =>
      (one?.curves ?? [])
        .filter((curve) => curve.key === key)
        .map(({ split, x, y }) => ({ run, split, x: [...x], y: y.map((value) => value * times) })),
    );
    groups.set(group, [...(groups.get(group) ?? []), { key, title, unit, log, lines }]);
  }
  return {
    stage,
    runs,
    groups: [...groups].map(([title, charts]) => ({ title, charts })),
    restarts: stages.flatMap((one, run) => (one?.restarts ?? []).map((step) => ({ run, step }))),
  };
}

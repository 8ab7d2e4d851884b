/** What no single key can know: values that must fit each other. Checked before any work begins. */
import { expected } from '../base/errors.js';
import { checkBottleneck, vocabularies } from './bottlenecks.js';
import { checkCondition } from './conditions.js';
import { checkPriorKind, nearestDivisor } from './priors.js';
import type { Config } from './schema.js';

/** @throws UserError naming the key to change */
export function checkTogether(config: Config): void {
  checkBottleneck(config.stage1);
  checkSizes(config);
  checkPictures(config);
  checkNetwork(config);
  checkDiscriminator(config);
  checkCorruption(config.stage1);
  checkLosses(config);
  checkPrior(config);
  checkCondition(config.prior.condition, config.data.size);
  checkTold(config.prior);
  checkBatches(config);
  checkPrecision(config);
}

/** As many images are told nothing, as many the class alone, as many all but the class. */
function checkTold({ condition, class_dropout, class_labels, start }: Config['prior']): void {
  if (start === 'told' && class_labels !== 'none') {
    const next = 'With prior.start told a sequence begins with the first code that is told, and no class.';
    throw expected('none', 'prior.class_labels', class_labels, next);
  }
  if (condition.kind === 'none' || class_dropout < 1 / 3) return;
  const next = `With prior.condition.kind ${condition.kind} it acts three times: try --set prior.class_dropout=0.1.`;
  throw expected('a number below 1/3', 'prior.class_dropout', class_dropout, next);
}

function checkSizes({ data, stage1 }: Config): void {
  const halvings = stage1.ch_mult.length - 1;
  if (data.size % 2 ** halvings !== 0) {
    throw expected(
      `a multiple of ${2 ** halvings}`,
      'data.size',
      data.size,
      `stage1.ch_mult has ${halvings + 1} levels, and the picture is halved between them: change one of the two.`,
    );
  }
  const levels = vocabularies(stage1).length;
  if (data.size % 2 ** (halvings + levels - 1) !== 0) {
    throw expected(
      `a multiple of ${2 ** (halvings + levels - 1)}`,
      'data.size',
      data.size,
      `The grid of codes is halved between the ${levels} levels of stage1.bottleneck.levels: change one of the two.`,
    );
  }
  const resolutions = stage1.ch_mult.map((_, level) => data.size / 2 ** level);
  for (const resolution of stage1.attn_resolutions) {
    if (!resolutions.includes(resolution)) {
      throw expected(
        `${oneOf(resolutions)}`,
        'stage1.attn_resolutions',
        resolution,
        'These are the resolutions that data.size and stage1.ch_mult lead to.',
      );
    }
  }
  if (data.val_dir !== null && data.dir === null) {
    throw expected('a folder', 'data.dir', null, 'data.val_dir holds the validation images of a data.dir.');
  }
}

/** What maps have no use for. */
function checkPictures({ data, stage1 }: Config): void {
  const { pictures, labels } = data;
  if (pictures !== 'labels' && labels.length > 0)
    throw expected('an empty list', 'data.labels', labels.join(', '), `data.pictures is ${pictures}.`);
  if (new Set(labels).size < labels.length)
    throw expected('each colour once', 'data.labels', labels.join(', '));
  if (pictures === 'photographs') return;
  const only = [['stage1.corrupt.kind', stage1.corrupt.kind, 'none']] as const;
  const ofLabels = [
    ['stage1.filter', stage1.filter, 'none'],
    ['stage1.perceptual.kind', stage1.perceptual.kind, 'none'],
    ['stage1.disc.weight', stage1.disc.weight, 0],
    ['stage1.pixel', stage1.pixel, 'l1'],
  ] as const;
  for (const [key, value, wanted] of [...only, ...(pictures === 'labels' ? ofLabels : [])]) {
    if (value !== wanted) throw expected(`${wanted}`, key, value, `data.pictures is ${pictures}.`);
  }
}

function checkNetwork(config: Config): void {
  const { network, ch_mult, attn_resolutions } = config.stage1;
  if (network === 'vqgan') {
    checkGroups(config);
    return;
  }
  if (ch_mult.length === 1) {
    throw expected(
      'at least two levels',
      'stage1.ch_mult',
      JSON.stringify(ch_mult),
      'The network strided is made of convolutions that halve the picture.',
    );
  }
  if (attn_resolutions.length > 0) {
    throw expected(
      'none',
      'stage1.attn_resolutions',
      JSON.stringify(attn_resolutions),
      'The network strided has no attention: try --set stage1.attn_resolutions=[].',
    );
  }
}

/** GroupNorm has `norm_groups`, or one for each channel where there are fewer. */
function checkGroups({ stage1 }: Config): void {
  for (const mult of [1, ...stage1.ch_mult]) {
    const channels = stage1.ch * mult;
    if (channels % Math.min(stage1.norm_groups, channels) !== 0) {
      throw expected(
        `at most ${stage1.norm_groups} channels or a multiple of ${stage1.norm_groups}`,
        'stage1.ch times each of stage1.ch_mult',
        `${stage1.ch} × ${mult} = ${channels}`,
        `Group normalisation splits them into stage1.norm_groups (${stage1.norm_groups}): try --set stage1.ch=${Math.ceil(stage1.ch / stage1.norm_groups) * stage1.norm_groups}.`,
      );
    }
  }
}

function checkDiscriminator({ stage1: { disc } }: Config): void {
  const widths = Array.from({ length: disc.layers }, (_, n) => disc.ch * Math.min(2 ** (n + 1), 8));
  const uneven = widths.find((width) => width % Math.min(32, width) !== 0);
  if (disc.norm === 'group' && disc.weight > 0 && uneven !== undefined) {
    throw expected(
      'layers of at most 32 channels or a multiple of 32',
      'stage1.disc.ch',
      `${disc.ch}, which leads to ${uneven} channels`,
      'stage1.disc.norm group splits the channels into 32 groups: try --set stage1.disc.ch=32.',
    );
  }
}

function checkPrecision({ stage1: { precision, disc }, prior }: Config): void {
  if (prior.precision === 'int8' && prior.kind === 'pixelcnn') {
    const next = 'Products of 8-bit integers are for the linear layers of gpt and maskgit.';
    throw expected('f32 or f16 for prior.kind pixelcnn', 'prior.precision', 'int8', next);
  }
  // R1's finite difference is smaller than what float16 resolves.
  if (precision === 'f32' || disc.r1 === 0) return;
  throw expected(
    '0 for stage1.precision f16',
    'stage1.disc.r1',
    disc.r1,
    'Its differences are too small for float16.',
  );
}

function checkCorruption({ corrupt, ch_mult }: Config['stage1']): void {
  if (corrupt.kind !== 'mask') return;
  if (corrupt.amount >= 1) {
    throw expected(
      'a share below 1',
      'stage1.corrupt.amount',
      corrupt.amount,
      'Some cells must be left to see.',
    );
  }
  if (ch_mult.length === 1) {
    throw expected(
      'at least two levels',
      'stage1.ch_mult',
      JSON.stringify(ch_mult),
      'A cell of a mask is what becomes one position of the latent, here a single pixel.',
    );
  }
}

function checkLosses({ data, stage1: { disc, perceptual } }: Config): void {
  if (disc.start !== 'flat' && disc.start >= 1 && !Number.isInteger(disc.start)) {
    throw expected(
      'a whole number of steps, a fraction of the run below 1, or flat',
      'stage1.disc.start',
      disc.start,
      'For example 0.5: the second half of the run.',
    );
  }
  if (disc.weight > 0 && Math.floor(data.size / 2 ** disc.layers) < 3) {
    throw expected(
      `at most ${Math.floor(Math.log2(data.size / 3))}`,
      'stage1.disc.layers',
      disc.layers,
      `Pictures of ${data.size} pixels leave nothing to judge after so many halvings.`,
    );
  }
  if (perceptual.kind === 'lpips-vgg16' && perceptual.weight > 0 && perceptual.weights === null) {
    throw expected(
      'a safetensors file',
      'stage1.perceptual.weights',
      null,
      'The kind lpips-vgg16 needs trained weights; random-features needs none.',
    );
  }
  if (perceptual.kind === 'lpips-vgg16' && perceptual.weight > 0 && data.size < 16) {
    throw expected(
      'at least 16',
      'data.size',
      data.size,
      'The network of lpips-vgg16 halves the picture four times; random-features takes any size.',
    );
  }
}

function checkPrior({ stage1, prior, sample }: Config): void {
  checkPriorKind(prior);
  if (sample.cfg_scale !== 1 && prior.class_dropout === 0) {
    throw expected(
      '1',
      'sample.cfg_scale',
      `${sample.cfg_scale} with prior.class_dropout 0`,
      'Guidance needs a prior that was also trained without classes: try --set prior.class_dropout=0.1.',
    );
  }
  const books = vocabularies(stage1);
  const codes = Math.max(...books);
  if (sample.top_k > codes) {
    throw expected(
      books.length === 1
        ? `at most stage1.codes (${codes})`
        : `at most ${codes}, the codes of the largest level,`,
      'sample.top_k',
      sample.top_k,
      '0 draws among all codes.',
    );
  }
}

function checkBatches(config: Config): void {
  for (const stage of ['stage1', 'prior'] as const) {
    const { batch_size, accumulate } = config[stage];
    if (batch_size % accumulate === 0) continue;
    throw expected(
      `a divisor of ${stage}.batch_size (${batch_size})`,
      `${stage}.accumulate`,
      accumulate,
      `A batch is computed in so many equal parts: try --set ${stage}.accumulate=${nearestDivisor(batch_size, accumulate)}.`,
    );
  }
}

function oneOf(values: readonly number[]): string {
  return values.length === 1 ? `${values[0]}` : `one of ${values.join(', ')}`;
}

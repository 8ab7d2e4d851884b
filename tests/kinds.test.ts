/**
 * Every kind of tokenizer, source of latents and prior through the real commands, as small as they can be: trained,
 * stopped and resumed, looked at, drawn from. A new kind has a line here.
 */
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { main } from '../src/cli/main.js';
import { bottleneck } from '../src/config/bottlenecks.js';
import { priorKinds } from '../src/config/priors.js';
import { writePng } from '../src/data/pictures.js';
import { noise } from './support/parity.js';
import { call } from './support/streams.js';

let folder: string;
const home = process.cwd();
beforeAll(async () => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-kinds-'));
  process.chdir(folder);
  await vqgen(`train-stage1 --config tiny ${options} --run tokenizer --steps 2`); // of all priors
});
afterAll(() => {
  process.chdir(home);
  fs.rmSync(folder, { recursive: true });
});

/** The summary, and what was said. */
async function vqgen(line: string): Promise<{ summary: Record<string, unknown>; said: string }> {
  const { code, stdout, stderr } = await call(main, [
    ...line.split(' '),
    '--json',
    '--device',
    'cpu',
    '--threads',
    '1',
  ]);
  if (code !== 0) throw new Error(`vqgen ${line}: exit code ${code}: ${stderr}`);
  return { summary: JSON.parse(stdout.trim().split('\n').at(-1)!), said: stderr };
}

type Line = Record<string, number | string | number[]>;

const lines = (run: string): Line[] =>
  fs
    .readFileSync(`${run}/stage1/metrics.jsonl`, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

const options =
  '--set data.drawn=40 --set stage1.disc.weight=0 --set stage1.perceptual.kind=none ' +
  '--set data.size=8 --set stage1.ch_mult=[1] --set stage1.attn_resolutions=[]';

/** Four steps, then four more: a tokenizer of `keys`, its last train line and its last validation. */
async function trained(run: string, keys: string): Promise<{ train: Line; val: Line }> {
  const set = keys.split(' ').map((key) => `--set stage1.${key}`);
  const train = `train-stage1 --config tiny ${options} ${set.join(' ')} --run ${run}`;
  await vqgen(`${train} --steps 4`);
  const { summary } = await vqgen(`${train} --steps 8 --resume`);
  expect(summary.step).toBe(8);
  const written = lines(run);
  return {
    train: written.findLast(({ split }) => split === 'train')!,
    val: written.findLast(({ split }) => split === 'val')!,
  };
}

const drawn = (file: unknown): boolean => fs.statSync(String(file)).size > 100;

const codes: [string, number, string][] = [
  ['nearest', 32, 'bottleneck.kind=nearest'],
  ['ema', 32, 'bottleneck.kind=ema'],
  ['cosine', 32, 'bottleneck.kind=cosine bottleneck.gradient=rotation'],
  ['fsq', 30, 'bottleneck.kind=fsq codes=null bottleneck.levels=[5,3,2]'],
  ['lfq', 32, 'bottleneck.kind=lfq'],
];

test.each(codes)('codes, %s: tokens, a prior, pictures', async (kind, vocab, keys) => {
  const { train, val } = await trained(kind, keys);
  expect(train.codebook_usage).toBeGreaterThan(0);
  expect(train.codebook_usage).toBeLessThanOrEqual(1);
  expect(train.commitment === 0).toBe(kind === 'fsq');
  expect(train.codebook !== 0).toBe(kind === 'cosine' || kind === 'nearest');
  expect('codebook_entropy' in train).toBe(kind === 'lfq');
  expect(val).toHaveProperty('psnr');

  expect((await vqgen(`tokenize --run ${kind} --check`)).summary).toMatchObject({ vocab });
  await vqgen(`train-prior --run ${kind} --steps 1`);
  expect((await vqgen(`sample --n 1 --run ${kind}`)).summary.images).toBe(1);
});

test('codes, hierarchy: a level of each sort, strided, against a discriminator', async () => {
  const levels = '[{"kind":"ema","codes":4},{"kind":"fsq","levels":[4,4]}]';
  const keys = `network=strided ch_mult=[1,2] disc.weight=0.4 disc.start=1 disc.augment=[translation,cutout,colour] filter=photo bottleneck.kind=hierarchy bottleneck.levels=${levels}`;
  const { train } = await trained('hierarchy', keys);
  expect(train.commitment_top).toBeGreaterThan(0);
  expect(train.commitment).toBeCloseTo(train.commitment_top as number, 5);
  expect(train.commitment_bottom).toBe(0);
  expect(train.codebook_usage_top).toBeGreaterThan(0);
  expect(train.codebook_usage_bottom).toBeGreaterThan(0);
  expect(train.adaptive_weight).toBeGreaterThan(0);

  const grids = [
    { name: 'top', height: 2, width: 2, vocab: 4 },
    { name: 'bottom', height: 4, width: 4, vocab: 16 },
  ];
  expect((await vqgen('tokenize --run hierarchy --check')).summary).toMatchObject({ grids });
  await vqgen('train-prior --run hierarchy --steps 1');
  expect((await vqgen('sample --n 1 --run hierarchy')).summary.images).toBe(1);
});

const priors: [string, string][] = [
  ['gpt', 'layers=1'],
  ['gpt, modern', 'layers=1 norm=rms mlp=swiglu qk_norm=true positions=rope'],
  ['pixelcnn', 'layers=2 width=8 attention_every=2'],
  ['maskgit', 'layers=1 substitute=0.2'],
];

test.each(priors)(
  'prior %s: stopped and resumed as if it had not been, drawn from, exported',
  async (name, keys) => {
    const [kind] = name.split(', ');
    const run = `prior-${name.replace(', ', '-')}`;
    fs.cpSync('tokenizer', run, { recursive: true });
    await vqgen(`tokenize --run ${run}`);
    fs.cpSync(run, `${run}-whole`, { recursive: true });
    const set = [`kind=${kind}`, 'schedule=constant', ...keys.split(' ')].map((key) => `--set prior.${key}`);
    const train = (run: string, more: string) => vqgen(`train-prior ${set.join(' ')} --run ${run} ${more}`);
    await train(run, '--steps 4');
    await train(run, '--steps 8 --resume');
    await train(`${run}-whole`, '--steps 8');
    const saved = (run: string) => fs.readFileSync(`${run}/prior/step-00000008/model.safetensors`);
    expect(saved(run).equals(saved(`${run}-whole`))).toBe(true);

    const draw = (more: string) => vqgen(`sample --n 2 --run ${run} ${more}`);
    const { summary } = await draw('--class cat --cfg-scale 2');
    expect(summary.classes).toEqual(['cat', 'cat']);
    const first = fs.readFileSync((summary.files as string[])[0]!);
    await draw('--class cat --cfg-scale 2 --n 1');
    expect(fs.readFileSync((summary.files as string[])[0]!)).toEqual(first);
    await expect(draw('--only bottom')).rejects.toThrow(
      'exit code 2: Expected nothing for --only but received bottom, where the codes of an image are a single grid.',
    );
    const precise = () => draw('--precision int8');
    if (kind !== 'pixelcnn') await precise();
    else
      await expect(precise()).rejects.toThrow('exit code 2: Expected f32 for --precision but received int8');
    const inPasses = () => draw('--decode-steps 3 --order halton --revise 0.2');
    const [picture] = summary.files as [string];
    const completed = `complete ${picture} --n 1 --class cat --run ${run}`;
    expect((await vqgen(completed)).summary).toMatchObject({ images: 1, kept: 0.5, classes: ['cat'] });
    const outpaint = () => vqgen(`edit outpaint ${picture} --n 1 --right 50% --decode-steps 2 --run ${run}`);
    if (kind === 'maskgit') {
      await inPasses();
      await expect(draw('--choice-temperature 2')).rejects.toThrow(
        'exit code 2: Expected nothing for --choice-temperature but received 2 with order halton.',
      );
      expect((await outpaint()).summary).toMatchObject({ images: 1 });
    } else {
      await expect(inPasses()).rejects.toThrow(
        'exit code 2: Expected nothing for --decode-steps but received 3.',
      );
      await expect(outpaint()).rejects.toThrow(
        `exit code 2: Expected a prior that draws anywhere in a picture for --run but received ${run}, whose prior.kind ${kind}`,
      );
    }
    const { out } = (await vqgen(`export --to onnx --run ${run}`)).summary;
    expect(fs.readdirSync(String(out))).toContain('prior.onnx');
  },
);

test('a gpt that begins with what it is told: stopped and resumed as if it had not been, drawn from, exported', async () => {
  const run = 'told';
  fs.cpSync('tokenizer', run, { recursive: true });
  await vqgen(`tokenize --run ${run} --set prior.condition.kind=edges`);
  fs.cpSync(run, `${run}-whole`, { recursive: true });
  const keys = ['start=told', 'class_labels=none', 'schedule=constant', 'layers=1', 'pkeep=0.8'];
  const set = keys.map((key) => `--set prior.${key}`).join(' ');
  await vqgen(`train-prior ${set} --run ${run} --steps 4`);
  await vqgen(`train-prior ${set} --run ${run} --steps 8 --resume`);
  await vqgen(`train-prior ${set} --run ${run}-whole --steps 8`);
  const saved = (run: string) => fs.readFileSync(`${run}/prior/step-00000008/model.safetensors`);
  expect(saved(run).equals(saved(`${run}-whole`))).toBe(true);

  const draw = async (more: string) => {
    const { files } = (await vqgen(`sample --n 1 --run ${run} ${more}`)).summary as { files: string[] };
    return fs.readFileSync(files[0]!);
  };
  await writePng('drawing.png', noise([8, 8, 3], 1, 0.5));
  for (const more of ['--seed 3', '--condition drawing.png --cfg-scale 2', '--precision int8'])
    expect((await draw(more)).length).toBeGreaterThan(100);
  await expect(vqgen(`export --to onnx --run ${run}`)).rejects.toThrow('whose prior is told of edges');
  const { files } = (await vqgen(`export --to safetensors --run ${run}`)).summary as { files: string[] };
  await vqgen(`import ${files.join(' ')} --run again`);
  const drawn = await draw('--condition drawing.png');
  fs.rmSync(run, { recursive: true });
  fs.renameSync('again', run);
  expect(await draw('--condition drawing.png')).toEqual(drawn);
});

const numbers: [string, string][] = [
  ['none', 'bottleneck.kind=none'],
  ['none, noise', 'bottleneck.kind=none bottleneck.shape=vector corrupt.kind=noise'],
  ['none, mask', 'bottleneck.kind=none corrupt.kind=mask corrupt.amount=0.6 ch_mult=[1,1] accumulate=2'],
  ['gaussian', 'bottleneck.kind=gaussian pixel=nll accumulate=2'],
  [
    'gaussian, classes',
    'bottleneck.kind=gaussian pixel=nll bottleneck.class_means=true bottleneck.shape=vector',
  ],
];

test.each(numbers)('numbers, %s: pictures without tokens and prior', async (name, keys) => {
  const run = name.replace(', ', '-');
  const { train, val } = await trained(run, keys);
  expect(train).not.toHaveProperty('codebook_usage');
  expect(val).toHaveProperty('psnr');
  const isVae = name.startsWith('gaussian');
  expect('kl' in train && 'active_units' in train).toBe(isVae);
  expect('elbo' in val && Array.isArray(val.kl_by_unit)).toBe(isVae);

  const sampled = await vqgen(`sample --n 3 --run ${run}`);
  expect(sampled.said.includes('a Gaussian is fitted')).toBe(!isVae);
  const first = fs.readFileSync((sampled.summary.files as string[])[0]!);
  await vqgen(`sample --n 1 --run ${run} --out again.png`);
  expect(fs.readFileSync((sampled.summary.files as string[])[0]!)).toEqual(first);

  await expect(vqgen(`sample --decode-steps 4 --run ${run}`)).rejects.toThrow(
    'exit code 2: Expected nothing for --decode-steps but received 4, where',
  );
  const [a, b] = sampled.summary.files as [string, string];
  expect(drawn((await vqgen(`interpolate ${a} ${b} --steps 3 --run ${run}`)).summary.out)).toBe(true);
  const corrupted = `reconstruct ${a} --corrupt --run ${run}`;
  if (name.includes('no') && name.includes(','))
    expect((await vqgen(corrupted)).summary).toHaveProperty('restored_psnr');
  else
    await expect(vqgen(corrupted)).rejects.toThrow(
      'exit code 2: Expected a run that was trained on corrupted images',
    );
  if (!name.includes(',')) {
    const { summary } = await vqgen(`evaluate --n 8 --run ${run}`);
    expect('elbo' in (summary.tokenizer as object)).toBe(isVae);
    expect(summary.samples).toHaveProperty('fd_vqgen');
  }

  if (name.endsWith('classes')) {
    const { summary } = await vqgen(`sample --n 2 --class cat --run ${run}`);
    expect(summary.classes).toEqual(['cat', 'cat']);
    await vqgen(`interpolate ${a} --class boat --class cat --run ${run}`);
  }
  for (const command of ['tokenize', 'train-prior', `complete ${a}`])
    await expect(vqgen(`${command} --run ${run}`)).rejects.toThrow(
      /exit code 2: Expected a tokenizer whose latents are codes .* neither tokens nor a prior: vqgen sample/,
    );
});

test('no kind is left out', () => {
  const covered = new Set([...codes, ...numbers].map(([name]) => name.split(',')[0]!)).add('hierarchy');
  expect(bottleneck.shape.kind.unwrap().options.filter((kind) => !covered.has(kind))).toEqual(['gumbel']); // imported only
  expect(priorKinds.kind.unwrap().options).toEqual([...new Set(priors.map(([name]) => name.split(',')[0]))]);
});

test('a codebook that falls out of use is told of once, and a resume does not tell again', async () => {
  // On a line, within ±1/512: almost every output is nearest to the first or the last of them.
  const train =
    `train-stage1 --config tiny ${options} --set stage1.codes=512 --set stage1.batch_size=16 --set stage1.codebook.init=uniform ` +
    '--set stage1.codebook.restart_after=0 --set stage1.lr=1e-9 --set stage1.embed_dim=1 --run dead';
  const { said } = await vqgen(`${train} --steps 8`);
  const warnings = said.split('\n').filter((line) => line.includes('of the codes are in use'));
  expect(warnings).toHaveLength(1);
  expect(warnings[0]).toMatch(
    /^Warning: At step \d+ only \d.* % of the codes are in use\. .*restart_after=50\.$/,
  );
  expect((await vqgen(`${train} --steps 16 --resume`)).said).not.toContain('of the codes are in use');
});

test('with β = 1 a posterior collapses where a decoder does as well without it, which is told once; free bits keep it', async () => {
  // Of pictures that are noise no code of 8 numbers says enough to pay for itself.
  for (let i = 0; i < 24; i++) await writePng(`noise/${i}.png`, noise([16, 16, 3], i, 0.5));
  const vae =
    `train-stage1 --config tiny ${options} --data noise --set data.size=16 --set stage1.ch_mult=[1,2] --set stage1.bottleneck.kind=gaussian --set stage1.pixel=nll ` +
    '--set stage1.bottleneck.shape=vector --set stage1.bottleneck.latent_dim=8 --set stage1.lr=0.003 --set stage1.log_every=10 --set stage1.eval_every=40 --steps 40';
  const warned = (said: string) =>
    said.split('\n').filter((line) => line.includes('the posterior has collapsed'));
  expect(warned((await vqgen(`${vae} --run collapsed`)).said)).toHaveLength(1);
  expect(lines('collapsed').findLast(({ split }) => split === 'train')!.kl).toBeLessThan(0.2);
  const kept = await vqgen(`${vae} --set stage1.bottleneck.free_bits=0.5 --run kept`);
  expect(warned(kept.said)).toEqual([]);
  expect(lines('kept').findLast(({ split }) => split === 'train')!.kl).toBeGreaterThan(1);
});

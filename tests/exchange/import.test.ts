/** `vqgen import` as it is typed: what it refuses, and what can be done with what it made. */
import fs from 'node:fs';
import path from 'node:path';
import { readSafetensors } from '../../src/checkpoint/safetensors.js';
import { main } from '../../src/cli/main.js';
import { openTensors } from '../../src/exchange/open.js';
import { type Written, writeTorch } from '../../src/exchange/torch-write.js';
import { vgg16Shapes } from '../../src/perceptual/distances.js';
import { call } from '../support/streams.js';
import { fixture, temporaryFolder } from './fixtures.js';

const folder = temporaryFolder('import');

const vqgen = (...argv: string[]) => call(main, argv);

/** A fixture as a PyTorch file with its tensors changed. */
async function changed(name: string, change: (tensors: Map<string, Written>) => void): Promise<string> {
  const opened = await openTensors(fixture(name));
  const tensors = new Map<string, Written>();
  for (const name of Object.keys(opened.entries)) tensors.set(name, await opened.read(name));
  await opened.close();
  change(tensors);
  const file = `${folder()}.ckpt`;
  const handle = await fs.promises.open(file, 'w');
  await writeTorch(handle, [...tensors], { step: 1 });
  await handle.close();
  return file;
}

const floats = (...shape: number[]): Written => ({
  dtype: 'F32',
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b, 1)),
});

function written(text: string, name: string): string {
  const file = path.join(`${folder()}.d`, name);
  fs.mkdirSync(path.dirname(file));
  fs.writeFileSync(file, text);
  return file;
}

const yaml = (
  name: string,
  change: (params: { [key: string]: unknown; ddconfig: Record<string, unknown> }) => void,
): string => {
  const project = JSON.parse(fs.readFileSync(fixture(name), 'utf8'));
  change(project.model.params);
  const file = `${folder()}.yaml`;
  fs.writeFileSync(file, JSON.stringify(project));
  return file;
};

test.each<[what: string, args: () => string[] | Promise<string[]>, sentence: RegExp]>([
  [
    'a call of os.system',
    () => [fixture('evil.ckpt')],
    /wants posix\.system called\. Nothing of it was executed/,
  ],
  ['a zip bomb', () => [fixture('bomb.ckpt')], /is compressed/],
  ['no file', () => ['nothing.ckpt'], /nothing\.ckpt, which does not exist/],
  ['neither format', () => [fixture('vqgan.yaml')], /Expected a safetensors file for .* but received/],
  ['another model', () => [fixture('module.pt')], /tensors of another model: weight \[3,2\]\./],
  [
    'a transformer without its tokenizer',
    async () => [
      await changed('transformer.ckpt', (t) => {
        for (const name of [...t.keys()]) if (name.startsWith('first_stage_model.')) t.delete(name);
      }),
    ],
    /a transformer without its first_stage_model/,
  ],
  [
    'another architecture than the YAML says',
    () => [
      fixture('vqgan.ckpt'),
      '--config',
      yaml('vqgan.yaml', (params) => {
        params.ddconfig.num_res_blocks = 2;
        params.embed_dim = 4;
      }),
    ],
    /the tensors of a VQModel as .* but received one without encoder\.down\.0\.block\.1\.norm1\.weight \[32\].* and \d+ more; one with .*\[6,8,1,1\] in place of \[4,8,1,1\]/,
  ],
  [
    'a tensor too few and one too many',
    async () => [
      await changed('gumbel.ckpt', (t) => {
        t.delete('decoder.norm_out.bias');
        t.set('spare', floats());
      }),
    ],
    /received one without decoder\.norm_out\.bias \[32\]; one with tensors that have no place there: spare \[\]\./,
  ],
  [
    'the YAML of another class',
    () => [fixture('vqgan.ckpt'), '--config', fixture('gumbel.yaml')],
    /Expected the YAML of a VQModel for --config but received .*, which is that of a GumbelVQ/,
  ],
  ['no YAML', () => [fixture('vqgan.ckpt'), '--config', fixture('evil.pkl')], /for --config but received/],
  [
    'a condition of another kind',
    () => [
      fixture('transformer.ckpt'),
      '--config',
      yaml('transformer.yaml', (params) => {
        params.unconditional = false;
        params.cond_stage_config = { target: 'taming.modules.misc.coord.CoordStage' };
      }),
    ],
    /received one with the condition taming\.modules\.misc\.coord\.CoordStage/,
  ],
  [
    'a condition of boxes',
    () => [
      fixture('transformer.ckpt'),
      '--config',
      yaml('transformer.yaml', (params) => {
        params.unconditional = false;
        params.cond_stage_key = 'objects_bbox';
        params.cond_stage_config = { target: 'taming.models.dummy_cond_stage.DummyCondStage' };
      }),
    ],
    /with a tokenizer of what it is told, .* received one with the condition taming\.models\.dummy_cond_stage\.DummyCondStage/,
  ],
  [
    'a tokenizer of what it is told that is not there',
    async () => [
      await changed('depth.ckpt', (t) => {
        for (const name of [...t.keys()]) if (name.startsWith('cond_stage_model.')) t.delete(name);
      }),
      '--config',
      fixture('depth.yaml'),
    ],
    /received one with the condition taming\.models\.vqgan\.VQModel/,
  ],
  [
    'a tokenizer of what it is told with a tensor too few',
    async () => [
      await changed('depth.ckpt', (t) => {
        t.delete('cond_stage_model.post_quant_conv.bias');
      }),
      '--config',
      fixture('depth.yaml'),
    ],
    /received one without cond_stage_model\.post_quant_conv\.bias \[8\]\./,
  ],
  [
    'fewer places than it takes to be told',
    () => [
      fixture('depth.ckpt'),
      '--config',
      yaml('depth.yaml', (params) => {
        params.cond_stage_config = { target: 'taming.models.vqgan.VQModel' };
      }),
    ],
    /at least 48 tokens and 79 positions .* but received a transformer of 50 and 40/,
  ],
  [
    'a start token where there is none',
    () => [fixture('depth.ckpt'), '--config', fixture('depth.yaml'), '--set', 'prior.start=token'],
    /Expected told for prior\.start but received token\. Published transformers have no other: leave it out of --set\./,
  ],
  [
    'a mask that shows what comes later',
    async () => [
      await changed('transformer.ckpt', (t) => {
        (t.get('transformer.blocks.2.attn.mask')!.data as Float32Array).fill(1, 0, 5);
      }),
      '--set',
      'prior.heads=4',
      '--size',
      '16',
    ],
    /another mask, transformer\.blocks\.2\.attn\.mask/,
  ],
  [
    'heads that nobody tells',
    () => [fixture('transformer.ckpt'), '--size', '16'],
    /the number of attention heads/,
  ],
  [
    'larger pictures than the transformer has places',
    () => [fixture('transformer.ckpt'), '--set', 'prior.heads=4', '--size', '32'],
    /at least 48 tokens and 256 positions .* but received a transformer of 50 and 70/,
  ],
  [
    'other channels out than in',
    async () => [
      await changed('vqgan.ckpt', (t) => {
        t.set('encoder.conv_in.weight', floats(32, 1, 3, 3));
      }),
    ],
    /gives pictures such as it takes, .* but received one that takes pictures with 1 channel and gives 3 channels, as its tensors say\./,
  ],
  [
    'grey pictures, whatever the YAML says',
    async () => [
      await changed('vqgan.ckpt', (t) => {
        t.set('decoder.conv_out.weight', floats(1, 32, 3, 3));
      }),
      '--config',
      fixture('vqgan.yaml'),
    ],
    /takes pictures with 3 channels and gives 1 channel, as its tensors say\./,
  ],
  [
    'grey pictures by the YAML alone',
    () => [
      fixture('vqgan.ckpt'),
      '--config',
      yaml('vqgan.yaml', (params) => {
        params.ddconfig.out_ch = 1;
      }),
    ],
    /takes pictures with 3 channels and gives 1 channel, as its YAML says\./,
  ],
  [
    'NaN',
    async () => [
      await changed('gumbel.ckpt', (t) => {
        (t.get('decoder.mid.block_1.conv1.weight')!.data as Float32Array)[7] = Number.NaN;
      }),
    ],
    /finite numbers for the tensor decoder\.mid\.block_1\.conv1\.weight in .* but received NaN at place 7 of \d+\./,
  ],
  [
    'infinity in what is only kept',
    async () => [
      await changed('vqgan.ckpt', (t) => {
        (t.get('loss.discriminator.main.3.running_var')!.data as Float32Array)[0] = Number.POSITIVE_INFINITY;
      }),
      '--size',
      '16',
    ],
    /the tensor loss\.discriminator\.main\.3\.running_var in .* but received Infinity at place 0/,
  ],
  [
    'NaN in LPIPS',
    async () => [
      fixture('vgg16.pth'),
      await changed('lpips.pth', (t) => {
        (t.get('lin2.model.1.weight')!.data as Float32Array)[1] = Number.NaN;
      }),
      '--out',
      folder(),
    ],
    /the tensor lin2\.model\.1\.weight in .* but received NaN at place 1 of 256\./,
  ],
  [
    'float64 beyond float32',
    async () => [
      await changed('gumbel.ckpt', (t) => {
        const { shape, data } = t.get('decoder.conv_out.bias')!;
        const doubles = Float64Array.from(data as Float32Array).fill(-1e39, 2, 3);
        t.set('decoder.conv_out.bias', { dtype: 'F64', shape, data: doubles });
      }),
    ],
    /but received -1e\+39, which float32 has no place for, at place 2 of 3\./,
  ],
  [
    'a Git LFS pointer',
    () => [
      written(
        'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 934829104\n',
        'last.ckpt',
      ),
    ],
    /Expected a checkpoint for .*last\.ckpt but received a Git LFS pointer, which stands for the file of 934,829,104 bytes\. Fetch the file itself: git lfs pull/,
  ],
  [
    'a web page',
    () => [written('\ufeff\n<!DOCTYPE html>\n<html><head><title>Google Drive</title>', 'model.safetensors')],
    /Expected a checkpoint for .*model\.safetensors but received a web page \(HTML\)\./,
  ],
  [
    'a web page as YAML',
    () => [fixture('vqgan.ckpt'), '--config', written('<html lang="en">\n<body>', 'model.yaml')],
    /Expected a YAML file for .*model\.yaml but received a web page \(HTML\)\./,
  ],
  [
    'a form that published transformers have not',
    () => [
      fixture('transformer.ckpt'),
      ...['--config', fixture('transformer.yaml'), '--set', 'prior.norm=rms'],
    ],
    /Expected layer for prior\.norm but received rms\. Published transformers have no other: leave it out of --set\./,
  ],
  [
    'no images',
    () => [fixture('gumbel.ckpt'), '--data', 'nowhere'],
    /a folder of images for --data .* nowhere, which does not exist/,
  ],
  [
    'a file to write',
    () => [fixture('gumbel.ckpt'), '--out', 'x'],
    /Expected only --run for .*gumbel\.ckpt but received --out x/,
  ],
  [
    'codes that do not exist',
    async () => [
      await changed('remapped.ckpt', (t) => {
        t.set('quantize.used', { dtype: 'I64', shape: [2], data: BigInt64Array.of(1n, 41n) });
      }),
    ],
    /the numbers of different codes for quantize\.used/,
  ],
])('%s: one sentence, exit code 2, nothing written', async (_, args, sentence) => {
  const run = folder();
  const { code, stdout, stderr } = await vqgen('import', ...(await args()), '--run', run);
  expect(stderr).toMatch(sentence);
  expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(fs.existsSync(run)).toBe(false);
  expect(fs.existsSync('/tmp/vqgen-was-here')).toBe(false);
});

test('a run in the way is left alone', async () => {
  const run = folder();
  fs.mkdirSync(run);
  fs.writeFileSync(path.join(run, 'mine'), '');
  const { code, stderr } = await vqgen('import', fixture('gumbel.ckpt'), '--run', run);
  expect(code).toBe(2);
  expect(stderr).toMatch(/Expected a new folder for --run/);
  expect(fs.readdirSync(run)).toEqual(['mine']);
});

test('nor can a run lie below a file', async () => {
  const { code, stderr } = await vqgen('import', fixture('gumbel.ckpt'), '--run', 'README.md/x');
  expect(code).toBe(2);
  expect(stderr).toMatch(
    /^Expected a folder for --run but received README\.md\/x, where .*README\.md is a file/,
  );
});

test('LPIPS from two files, and no half of it', async () => {
  const out = `${folder()}.safetensors`;
  const files = [fixture('vgg16.pth'), fixture('lpips.pth')];
  const { code, stdout } = await vqgen('import', ...files, '--out', out, '--json');
  expect(code).toBe(0);
  expect(JSON.parse(stdout)).toEqual({ tensors: 31, file: out });
  const { tensors } = await readSafetensors(out);
  for (const [name, shape] of Object.entries(vgg16Shapes())) expect(tensors[name]!.shape).toEqual(shape);
  expect(tensors['lin3.weight']!.data[511]).toBe(3.5);
  expect(Array.from(tensors['features.10.weight']!.data.slice(-2) as Float32Array)).toEqual(
    [10.07, 10.08].map(Math.fround),
  );
  const half = await vqgen('import', fixture('lpips.pth'), '--out', `${out}2`);
  expect(half.code).toBe(2);
  expect(half.stderr).toMatch(
    /without features\.0\.weight \[64,3,3,3\].* and \d+ more\. Both files are needed/,
  );
  expect(fs.existsSync(`${out}2`)).toBe(false);
});

test('an imported run is one like any other: reconstruct, sample, train on', async () => {
  const run = folder();
  const config = [
    '--config',
    fixture('transformer.yaml'),
    '--set',
    'data.drawn=30',
    '--set',
    'stage1.batch_size=2',
  ];
  const made = await vqgen('import', fixture('transformer.ckpt'), ...config, '--run', run, '--json');
  expect(JSON.parse(made.stdout)).toMatchObject({
    kind: 'Net2NetTransformer',
    step: 7,
    size: 16,
    codes: 48,
    prior: true,
    discriminator: false,
  });
  const at = ['--run', run, '--device', 'cpu', '--quiet', '--json'];
  const sampled = await vqgen('sample', '--n', '2', ...at);
  expect(JSON.parse(sampled.stdout)).toMatchObject({ images: 2 });
  const pictures = JSON.parse(sampled.stdout).files;
  expect(JSON.parse((await vqgen('reconstruct', ...pictures, ...at)).stdout)).toMatchObject({ images: 2 });

  const finished = await vqgen('train-stage1', '--resume', ...at);
  expect(JSON.parse(finished.stdout)).toMatchObject({ step: 7 });
  const further = await vqgen('train-stage1', '--resume', '--steps', '9', ...at);
  expect(further.stderr).toBe('');
  expect(JSON.parse(further.stdout)).toMatchObject({ step: 9 });
  expect(fs.readdirSync(path.join(run, 'stage1')).filter((name) => name.startsWith('step-'))).toEqual([
    'step-00000007',
    'step-00000009',
  ]);
});

test('a Gumbel tokenizer is not trained on', async () => {
  const run = folder();
  await vqgen('import', fixture('gumbel.ckpt'), '--config', fixture('gumbel.yaml'), '--run', run);
  const { code, stderr } = await vqgen(
    'train-stage1',
    '--resume',
    '--steps',
    '9',
    '--run',
    run,
    '--device',
    'cpu',
    '--quiet',
  );
  expect(code).toBe(2);
  expect(stderr).toMatch(
    /Expected a bottleneck that vqgen trains for stage1\.bottleneck\.kind but received gumbel/,
  );
});

/**
 * Transformers that are told the codes of a second tokenizer, here and in PyTorch: the fixtures of
 * scripts/taming-fixture.py.
 */
import fs from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { float32, type HostTensor, int32 } from '../../src/base/tensor.js';
import { readRunConfig, runPaths } from '../../src/checkpoint/run.js';
import { loadModel } from '../../src/checkpoint/store.js';
import { main } from '../../src/cli/main.js';
import { valuesOf } from '../../src/data/map-labels.js';
import { writePng } from '../../src/data/pictures.js';
import { specsOfTensors } from '../../src/engine/device.js';
import { onnxDevice } from '../../src/engine/onnx-device.js';
import { type Written, writeTorch } from '../../src/exchange/torch-write.js';
import { treeOf } from '../../src/nn/params.js';
import { modelOf } from '../../src/stage1-vqgan/model.js';
import { decodeProgram, encodeProgram } from '../../src/stage1-vqgan/programs.js';
import { gptLogits, gptSpecs } from '../../src/stage2-transformer/gpt/gpt.js';
import { gptSizes } from '../../src/stage2-transformer/gpt/index.js';
import { loadModels } from '../../src/stage2-transformer/model.js';
import { openConditioner } from '../../src/tokenize/conditions/index.js';
import { expectClose } from '../support/close.js';
import { call } from '../support/streams.js';
import { contents, weightsOf } from './contents.js';
import { fixture, outputs, temporaryFolder } from './fixtures.js';
import { tensorsOf } from './nested.js';

const device = onnxDevice({ threads: 2 });
const folder = temporaryFolder('import-told');
const waves = (count: number, step: number) =>
  Array.from({ length: count }, (_, i) => Math.fround(Math.sin(step * i)));
const colours = ['#000000', '#010101', '#020202', '#030303', '#040404', '#050505'];

/** Of a fixture: its maps as pictures [2, S, S, 3], what its numbers of a decoded pixel mean in vqgen's, its sizes. */
const fixtures = {
  depth: {
    maps: () => float32([2, 8, 8, 3], Float32Array.from(waves(128, 0.53).flatMap((v) => [v, v, v]))),
    planes: 1,
    pixel: ([depth]: readonly number[]) => [depth, depth, depth],
    data: { pictures: 'depth', size: 8, labels: [] },
    grid: { name: 'condition', height: 4, width: 4, vocab: 40 },
    vocabulary: 50,
    section: { cond_stage_key: 'depth', target: 'taming.models.vqgan.VQModel' },
  },
  segmentation: {
    maps() {
      const labels = waves(512, 0.53).map((v) => Math.min(5, Math.floor((v + 1) * 3)));
      return float32([2, 16, 16, 3], Float32Array.from(labels.flatMap((label) => valuesOf(colours[label]!))));
    },
    planes: 6,
    pixel: (logits: readonly number[]) => valuesOf(colours[logits.indexOf(Math.max(...logits))]!),
    data: { pictures: 'labels', size: 16, labels: colours },
    grid: { name: 'condition', height: 8, width: 8, vocab: 60 },
    vocabulary: 64,
    section: { cond_stage_key: 'segmentation', target: 'taming.models.vqgan.VQSegmentationModel' },
  },
} as const;

async function vqgen(...words: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await call(main, [...words, '--json']);
  if (code !== 0) throw new Error(`exit code ${code}: ${stderr}`);
  return JSON.parse(stdout.trim().split('\n').at(-1)!);
}

async function saveTorch(file: string, tensors: readonly [string, Written][]): Promise<void> {
  const handle = await fs.promises.open(file, 'w');
  await writeTorch(handle, tensors, { step: 1 });
  await handle.close();
}

async function computed(run: string, input: 'images' | 'codes', value: HostTensor): Promise<HostTensor> {
  const model = modelOf(readRunConfig(run));
  const { tensors } = await loadModel(run, 'stage1');
  const graph = await (input === 'images'
    ? device.prepare(encodeProgram(model, tensors, 2))
    : device.prepare(decodeProgram(model, tensors, 2)));
  const result = (await graph.run({ [input]: value } as never)) as Record<string, HostTensor>;
  await graph.dispose();
  return result[input === 'images' ? 'codes' : 'images']!;
}

describe.each(['depth', 'segmentation'] as const)('a transformer that is told %s', (name) => {
  const { maps, planes, pixel, data, grid, vocabulary, section } = fixtures[name];
  const wanted = outputs(name);
  const area = grid.height * grid.width;
  const codes = Math.max(48, grid.vocab);
  const [checkpoint, yaml] = [fixture(`${name}.ckpt`), fixture(`${name}.yaml`)];
  let run: string;
  beforeAll(async () => {
    run = folder();
    const summary = await vqgen('import', checkpoint, '--config', yaml, '--run', run);
    expect(summary).toMatchObject({ kind: 'Net2NetTransformer', prior: true, told: data.pictures });
  });

  test('the tokenizer of what it is told is a run of its own, and its codes are those of PyTorch', async () => {
    const { condition } = runPaths(run);
    expect(readRunConfig(condition).data).toMatchObject(data);
    const told = await computed(condition, 'images', maps());
    expect([...told.data]).toEqual(wanted.told);
    expect(new Set(wanted.told).size).toBeGreaterThan(15);

    const images = await computed(condition, 'codes', told);
    const pixels = Array.from({ length: data.size ** 2 }, (_, i) =>
      pixel(wanted.decoded.slice(i * planes, (i + 1) * planes)),
    );
    const first = { shape: [data.size ** 2 * 3], data: images.data.subarray(0, data.size ** 2 * 3) };
    expectClose(first, pixels.flat() as number[], { atol: 1e-4, rtol: 0 });
  });

  test('codes of pictures and logits', async () => {
    const images = float32([2, 16, 16, 3], Float32Array.from(waves(1536, 0.7)));
    const drawn = await computed(run, 'images', images);
    expect([...drawn.data]).toEqual(wanted.codes);

    const { prior } = await loadModels(run);
    expect(prior.told).toMatchObject({ kind: 'maps', size: 16, grid, tokenizer: { pixels: data.size } });
    expect(prior.model.grids).toEqual([grid, { name: 'codes', height: 4, width: 4, vocab: 48 }]);
    const logits = await fullLogits(
      run,
      [0, 1].flatMap((b) => sequence(b, drawn.data as Int32Array)),
    );
    const ofCodes = wanted.logits.filter((_, i) => i % vocabulary < codes);
    const largest = Math.max(...ofCodes.map(Math.abs));
    const found = { shape: [ofCodes.length], data: Float32Array.from(logits.flat(2)) };
    expectClose(found, ofCodes, { atol: 1e-4 * largest, rtol: 0 });
  });

  test('it draws code by code what a full pass says', async () => {
    const { prior } = await loadModels(run);
    const drawer = await prior.model.open(device, prior.tensors, { batch: 2, cfgScale: 1 });
    const blank = new Int32Array(32).fill(-1);
    const all = await drawer.draw(
      {
        codes: Int32Array.from([0, 1].flatMap((b) => sequence(b, blank))),
        labels: Int32Array.of(-1, -1),
      },
      { choice: { temperature: 1, topK: 1, topP: 1 }, random: [{ uniform: () => 0 }, { uniform: () => 0 }] },
    );
    await drawer.dispose();
    const logits = await fullLogits(run, [...all]);
    const likeliest = (row: readonly number[]) => row.indexOf(Math.max(...row.slice(0, 48)));
    for (const b of [0, 1])
      expect([...all.subarray(b * (area + 16) + area, (b + 1) * (area + 16))]).toEqual(
        logits[b]!.map(likeliest),
      );
  });

  test('out again: every tensor as it was, and the same run from them', async () => {
    const [out, again] = [folder(), folder()];
    await vqgen('export', '--to', 'taming', '--run', run, '--out', out);
    const file = path.join(out, 'transformer.ckpt');
    expect(await contents(file)).toEqual(await contents(checkpoint));
    const written = parse(fs.readFileSync(path.join(out, 'transformer.yaml'), 'utf8')).model.params;
    const { cond_stage_config: given } = JSON.parse(fs.readFileSync(yaml, 'utf8')).model.params;
    expect(written.cond_stage_key).toBe(section.cond_stage_key);
    expect(written.cond_stage_config.target).toBe(section.target);
    const { lossconfig, ...params } = given.params;
    expect(written.cond_stage_config.params).toMatchObject(params);
    expect(written).not.toHaveProperty('sos_token');
    expect(written.transformer_config.params).toMatchObject({
      vocab_size: vocabulary,
      n_layer: 2,
      n_head: 4,
    });

    await vqgen('import', file, '--config', path.join(out, 'transformer.yaml'), '--run', again);
    for (const stage of ['stage1', 'prior'] as const)
      expect(await weightsOf(again, stage)).toEqual(await weightsOf(run, stage));
    const told = (of: string) => weightsOf(runPaths(of).condition, 'stage1');
    expect(await told(again)).toEqual(await told(run));
  });

  test('it draws pictures of maps, and none without', async () => {
    const map = `${folder()}.png`;
    await writePng(map, {
      shape: maps().shape.slice(1),
      data: maps().data.subarray(0, 3 * data.size ** 2),
    } as never);
    const draw = (...more: string[]) =>
      vqgen('sample', '--run', run, '--n', '1', '--device', 'cpu', '--threads', '1', ...more);
    const { files } = await draw('--condition', map);
    expect(fs.statSync((files as string[])[0]!).size).toBeGreaterThan(100);
    await expect(draw()).rejects.toThrow('Expected a map for --condition but received nothing.');
  });

  test('it is trained on, with tokens of pictures and their maps', async () => {
    const [pairs, on] = [folder(), folder()];
    for (let i = 0; i < 12; i++) {
      const pixels = Float32Array.from(waves(768, 0.1 * (i + 1)));
      await writePng(path.join(pairs, 'images', `${i}.png`), float32([16, 16, 3], pixels));
      const map = pixels.map((_, j) => valuesOf(colours[Math.floor(j / 48 + i) % 6]!)[0]!);
      await writePng(path.join(pairs, 'maps', `${i}.png`), float32([16, 16, 3], map));
    }
    const cpu = ['--run', on, '--device', 'cpu', '--threads', '1'];
    await vqgen('import', checkpoint, '--config', yaml, '--run', on, '--data', path.join(pairs, 'images'));
    await vqgen('tokenize', ...cpu, '--set', `prior.condition.maps=${path.join(pairs, 'maps')}`);
    const { prior } = await loadModels(on);
    const steps = ['prior.steps=3', 'prior.batch_size=4', 'prior.warmup=0', 'prior.eval_every=3'];
    const { prior: saved } = readRunConfig(on);
    fs.writeFileSync(
      runPaths(on).config,
      JSON.stringify({ ...readRunConfig(on), prior: { ...saved, batch_size: 4, warmup: 0 } }),
    );
    await vqgen('train-prior', ...cpu, '--resume', ...steps.flatMap((key) => ['--set', key]));
    const after = await loadModels(on);
    expect(after.prior.told).toEqual(prior.told);
    expect(after.prior.step).toBeGreaterThan(1);
    const measured = await vqgen('evaluate', ...cpu, '--n', '4');
    expect(measured.prior).not.toBeNull();
  });

  /** A row of a canvas: what is told, then 16 codes. */
  function sequence(row: number, drawn: Int32Array): number[] {
    return [...wanted.told.slice(row * area, (row + 1) * area), ...drawn.subarray(row * 16, (row + 1) * 16)];
  }

  /** [2, 16, K]: of the codes that are drawn, from canvases [2, T]. */
  async function fullLogits(run: string, all: readonly number[]): Promise<number[][][]> {
    const { prior } = await loadModels(run);
    const sizes = gptSizes(readRunConfig(run).prior, prior.model.grids);
    expect(sizes).toMatchObject({ codes, tokens: area + 15 });
    const cells = area + 16;
    const ids = int32([2, cells - 1], Int32Array.from(all.filter((_, i) => i % cells < cells - 1)));
    const graph = await device.prepare({
      name: 'logits',
      inputs: specsOfTensors({ ids }),
      constants: prior.tensors,
      run: ({ ids }, constants) => ({ logits: gptLogits(sizes, treeOf(gptSpecs(sizes), constants), ids!) }),
    });
    const { logits } = await graph.run({ ids });
    await graph.dispose();
    const at = (b: number, t: number) => (b * (cells - 1) + area - 1 + t) * codes;
    return [0, 1].map((b) =>
      Array.from({ length: 16 }, (_, t) => [...logits!.data.subarray(at(b, t), at(b, t) + codes)]),
    );
  }
});

test('a transformer that is told the codes of fewer pixels, by its own tokenizer', async () => {
  const own = Object.entries(await tensorsOf(fixture('depth.ckpt'))).filter(
    ([name]) => !name.startsWith('cond_stage_model.'),
  );
  const again = own.flatMap(([name, t]): [string, Written][] =>
    name.startsWith('first_stage_model.') ? [[name.replace('first', 'cond'), t]] : [],
  );
  const [checkpoint, run, out] = [`${folder()}.ckpt`, folder(), folder()];
  await saveTorch(checkpoint, [...own, ...again]);
  const project = JSON.parse(fs.readFileSync(fixture('depth.yaml'), 'utf8'));
  const few = { cond_stage_key: 'image', cond_stage_config: '__is_first_stage__', downsample_cond_size: 8 };
  Object.assign(project.model.params, few);
  fs.writeFileSync(`${run}.yaml`, JSON.stringify(project));
  await vqgen('import', checkpoint, '--config', `${run}.yaml`, '--run', run);
  const { prior } = await loadModels(run);
  expect(prior.told).toEqual({
    kind: 'lowres',
    size: 16,
    grid: { name: 'condition', height: 2, width: 2, vocab: 48 },
    tokenizer: { pictures: 'photographs', pixels: 8 },
  });
  const { condition } = readRunConfig(run).prior;
  expect(condition).toMatchObject({ kind: 'lowres', tokenizer: 'own', side: 8 });
  const picture = Float32Array.from(waves(768, 0.7));
  const smaller = Float32Array.from({ length: 192 }, (_, i) => {
    const [y, x] = [Math.floor(i / 24), Math.floor(i / 3) % 8];
    return picture[3 * (16 * 2 * y + 2 * x) + (i % 3)]!; // F.interpolate's nearest.
  });
  const conditioner = await openConditioner(prior.told!, { run, device });
  const codes = [...(await conditioner.codes([picture]))];
  await conditioner.dispose();
  const model = { ...modelOf(readRunConfig(run)), size: 8 };
  const graph = await device.prepare(encodeProgram(model, (await loadModel(run, 'stage1')).tensors, 1));
  expect(codes).toEqual([...(await graph.run({ images: float32([1, 8, 8, 3], smaller) })).codes!.data]);
  await graph.dispose();

  await vqgen('export', '--to', 'taming', '--run', run, '--out', out);
  expect(await contents(path.join(out, 'transformer.ckpt'))).toEqual(await contents(checkpoint));
  const written = parse(fs.readFileSync(path.join(out, 'transformer.yaml'), 'utf8')).model.params;
  expect(written).toMatchObject({ cond_stage_key: 'image', downsample_cond_size: 8 });

  const another = again.map(([name, t], i): [string, Written] => [
    name,
    i > 0 ? t : { ...t, data: (t.data as Float32Array).map((v) => v + 1) },
  ]);
  await saveTorch(checkpoint, [...own, ...another]);
  await expect(vqgen('import', checkpoint, '--config', `${run}.yaml`, '--run', folder())).rejects.toThrow(
    /Expected cond_stage_model\.\S+ as in first_stage_model\.\* for .* but received another tensor\./,
  );
});

test.each(['depth', 'segmentation'] as const)('a tokenizer of maps alone: %s', async (name) => {
  const { maps, data, section } = fixtures[name];
  const all = Object.entries(await tensorsOf(fixture(`${name}.ckpt`))).flatMap(
    ([key, t]): [string, Written][] =>
      key.startsWith('cond_stage_model.') ? [[key.replace('cond_stage_model.', ''), t]] : [],
  );
  const filter = { dtype: 'F32', shape: [8, 1, 4, 4], data: Float32Array.from(waves(128, 0.2)) } as const;
  if (name === 'depth') all.push(['loss.discriminator.main.0.weight', filter]);
  const [checkpoint, run, out] = [`${folder()}.ckpt`, folder(), folder()];
  await saveTorch(checkpoint, all);
  const project = JSON.parse(fs.readFileSync(fixture(`${name}.yaml`), 'utf8'));
  const { target, params } = project.model.params.cond_stage_config;
  const lossconfig = { target: 'of.another', params: { weight: 2 } };
  const model = { target, params: { ...params, ...(name === 'depth' && { lossconfig }) } };
  fs.writeFileSync(`${run}.yaml`, JSON.stringify({ model }));
  await vqgen('import', checkpoint, '--config', `${run}.yaml`, '--run', run);
  expect(readRunConfig(run).data).toMatchObject(data);
  expect([...(await computed(run, 'images', maps())).data]).toEqual(outputs(name).told);

  await vqgen('export', '--to', 'taming', '--run', run, '--out', out);
  expect(await contents(path.join(out, 'vqgan.ckpt'))).toEqual(await contents(checkpoint));
  const written = parse(fs.readFileSync(path.join(out, 'vqgan.yaml'), 'utf8')).model;
  expect(written.target).toBe(section.target);
  if (name === 'depth') expect(written.params.lossconfig).toEqual(lossconfig);
});

test('by its shapes alone, told the heads', async () => {
  const run = folder();
  const set = ['--set', 'prior.heads=4', '--size', '16'];
  await vqgen('import', fixture('segmentation.ckpt'), '--run', run, ...set);
  expect(readRunConfig(runPaths(run).condition).data).toMatchObject(fixtures.segmentation.data);
  expect(await weightsOf(run, 'prior')).toBeDefined();
});

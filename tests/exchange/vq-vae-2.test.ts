/**
 * A VQ-VAE-2 of vq-vae-2-pytorch, under its names and in its order of axes: what it computes, by plain loops, and
 * here.
 */
import fs from 'node:fs';
import { sizeOf } from '../../src/base/tensor.js';
import { readRunConfig } from '../../src/checkpoint/run.js';
import { loadModel } from '../../src/checkpoint/store.js';
import { main } from '../../src/cli/main.js';
import { onnxDevice } from '../../src/engine/onnx-device.js';
import { importCheckpoint } from '../../src/exchange/import.js';
import { type Written, writeTorch } from '../../src/exchange/torch-write.js';
import { modelOf } from '../../src/stage1-vqgan/model.js';
import { reconstructProgram } from '../../src/stage1-vqgan/programs.js';
import { expectClose } from '../support/close.js';
import { noise } from '../support/parity.js';
import {
  beside,
  type Image,
  plainConv,
  plainDoubling,
  plus,
  quantised,
  relu,
} from '../support/plain-layers.js';
import { call } from '../support/streams.js';
import { quiet, temporaryFolder } from './fixtures.js';

const folder = temporaryFolder('vq-vae-2');
const [channels, inner, width, codes] = [8, 2, 3, 6];

/** Their names and shapes, with one residual block. */
const shapes: Record<string, number[]> = {};
const layer = (name: string, shape: number[], outputs: number) => {
  shapes[`${name}.weight`] = shape;
  shapes[`${name}.bias`] = [outputs];
};
const conv = (name: string, inputs: number, outputs: number, k: number) =>
  layer(name, [outputs, inputs, k, k], outputs);
const transposed = (name: string, inputs: number, outputs: number) =>
  layer(name, [inputs, outputs, 4, 4], outputs);
const block = (name: string) => {
  conv(`${name}.conv.1`, channels, inner, 3);
  conv(`${name}.conv.3`, inner, channels, 1);
};
conv('enc_b.blocks.0', 3, channels / 2, 4);
conv('enc_b.blocks.2', channels / 2, channels, 4);
conv('enc_b.blocks.4', channels, channels, 3);
block('enc_b.blocks.5');
conv('enc_t.blocks.0', channels, channels / 2, 4);
conv('enc_t.blocks.2', channels / 2, channels, 3);
block('enc_t.blocks.3');
conv('quantize_conv_t', channels, width, 1);
conv('dec_t.blocks.0', width, channels, 3);
block('dec_t.blocks.1');
transposed('dec_t.blocks.3', channels, width);
conv('quantize_conv_b', width + channels, width, 1);
transposed('upsample_t', width, width);
conv('dec.blocks.0', 2 * width, channels, 3);
block('dec.blocks.1');
transposed('dec.blocks.3', channels, channels / 2);
transposed('dec.blocks.5', channels / 2, 3);
for (const level of ['t', 'b'])
  Object.assign(shapes, {
    [`quantize_${level}.embed`]: [width, codes],
    [`quantize_${level}.cluster_size`]: [codes],
    [`quantize_${level}.embed_avg`]: [width, codes],
  });

const weights = new Map(
  Object.entries(shapes).map(([name, shape]) => {
    const scale =
      shape.length === 4 ? 2.2 / Math.sqrt(sizeOf(shape.slice(1))) : shape.length === 2 ? 0.3 : 0.02;
    return [name, { ...noise(shape, name, scale), dtype: 'F32' } as Written];
  }),
);

async function written(change: (tensors: Map<string, Written>) => void = () => {}): Promise<string> {
  const tensors = new Map(weights);
  change(tensors);
  const file = `${folder()}.pt`;
  const handle = await fs.promises.open(file, 'w');
  await writeTorch(handle, [...tensors], { step: 1 });
  await handle.close();
  return file;
}

const images = noise([2, 16, 16, 3], 'pictures', 0.5);

const nested = (data: ArrayLike<number>, shape: readonly number[], at = 0): unknown =>
  shape.length === 0
    ? data[at]
    : Array.from({ length: shape[0]! }, (_, i) =>
        nested(data, shape.slice(1), at + i * sizeOf(shape.slice(1))),
      );
const stored = <T>(name: string): T => nested(weights.get(name)!.data as Float32Array, shapes[name]!) as T;
const bias = (name: string) => stored<number[]>(`${name}.bias`);

/** Filters [k, k, a, b] of theirs [c, d, k, k]. */
const turned = (w: Image, at: (c: number, d: number) => [number, number], a: number, b: number): Image =>
  w[0]![0]!.map((row, i) =>
    row.map((_, j) =>
      Array.from({ length: a }, (_, m) =>
        Array.from({ length: b }, (_, n) => {
          const [c, d] = at(m, n);
          return w[c]![d]![i]![j]!;
        }),
      ),
    ),
  );

function their(x: Image): { top: number[][][]; bottom: number[][][]; reconstruction: Image } {
  const conv = (x: Image, name: string, stride: number, pad: number) => {
    const [outputs, inputs] = shapes[`${name}.weight`] as [number, number];
    const w = turned(stored(`${name}.weight`), (i, o) => [o, i], inputs, outputs);
    return plainConv(x, w, bias(name), stride, pad);
  };
  const up = (x: Image, name: string) => {
    const [inputs, outputs] = shapes[`${name}.weight`] as [number, number];
    return plainDoubling(
      x,
      turned(stored(`${name}.weight`), (o, i) => [i, o], outputs, inputs),
      bias(name),
    );
  };
  const block = (x: Image, name: string) =>
    plus(x, conv(relu(conv(relu(x), `${name}.conv.1`, 1, 1)), `${name}.conv.3`, 1, 0));
  const book = (name: string) => {
    const embed = stored<number[][]>(`${name}.embed`);
    return embed[0]!.map((_, k) => embed.map((row) => row[k]!));
  };
  const half = relu(conv(relu(conv(x, 'enc_b.blocks.0', 2, 1)), 'enc_b.blocks.2', 2, 1));
  const low = relu(block(conv(half, 'enc_b.blocks.4', 1, 1), 'enc_b.blocks.5'));
  const high = conv(relu(conv(low, 'enc_t.blocks.0', 2, 1)), 'enc_t.blocks.2', 1, 1);
  const top = quantised(
    conv(relu(block(high, 'enc_t.blocks.3')), 'quantize_conv_t', 1, 0),
    book('quantize_t'),
  );
  const told = up(relu(block(conv(top.q, 'dec_t.blocks.0', 1, 1), 'dec_t.blocks.1')), 'dec_t.blocks.3');
  const bottom = quantised(conv(beside(told, low), 'quantize_conv_b', 1, 0), book('quantize_b'));
  const both = conv(beside(up(top.q, 'upsample_t'), bottom.q), 'dec.blocks.0', 1, 1);
  const wide = relu(up(relu(block(both, 'dec.blocks.1')), 'dec.blocks.3'));
  return { top: top.codes, bottom: bottom.codes, reconstruction: up(wide, 'dec.blocks.5') };
}

test('the same codes and reconstructions', async () => {
  const run = folder();
  const summary = await importCheckpoint({ checkpoint: await written(), run, size: 16, reporter: quiet });
  expect(summary).toMatchObject({ kind: 'VQVAE', tensors: weights.size, codes, size: 16, prior: false });
  const config = readRunConfig(run);
  expect(config.stage1).toMatchObject({ network: 'strided', ch: channels / 2, num_res_blocks: 1 });
  const { tensors } = await loadModel(run, 'stage1');
  const graph = await onnxDevice({ threads: 1 }).prepare(reconstructProgram(modelOf(config), tensors, 2));
  const made = await graph.run({ images });
  await graph.dispose();

  const wanted = their(nested(images.data, images.shape) as Image);
  expect(new Set(wanted.top.flat(2)).size).toBeGreaterThan(1);
  expect(new Set(wanted.bottom.flat(2)).size).toBeGreaterThan(2);
  expect(Array.from(made.top!.data)).toEqual(wanted.top.flat(2));
  expect(Array.from(made.bottom!.data)).toEqual(wanted.bottom.flat(2));
  expectClose(made.reconstruction!, wanted.reconstruction.flat(3), { atol: 1e-4 });
});

test('through the real command, wrapped as trainers do', async () => {
  const file = await written((tensors) => {
    for (const [name, tensor] of weights) {
      tensors.delete(name);
      tensors.set(`module.${name}`, tensor);
    }
  });
  const run = folder();
  const { code, stdout } = await call(main, ['import', file, '--run', run, '--size', '16']);
  expect([code, stdout]).toEqual([0, expect.stringContaining('VQVAE at step 1')]);
});

test.each<[string, (tensors: Map<string, Written>) => void, RegExp]>([
  [
    'a tensor is missing',
    (t) => t.delete('upsample_t.bias'),
    /^Expected the tensors of a VQVAE of 8 channels for .* but received one without upsample_t\.bias \[3\]\./m,
  ],
  [
    'other residual blocks',
    (t) => t.set('enc_b.blocks.5.conv.1.weight', { ...noise([5, 8, 3, 3]), dtype: 'F32' }),
    /Expected residual blocks with a quarter of the 8 channels inside for .* but received 5 of them\./,
  ],
  [
    'grey pictures',
    (t) => t.set('enc_b.blocks.0.weight', { ...noise([4, 1, 4, 4]), dtype: 'F32' }),
    /one with enc_b\.blocks\.0\.weight \[4,1,4,4\] in place of \[4,3,4,4\]/,
  ],
])('refused by name: %s', async (_, change, sentence) => {
  const { code, stderr } = await call(main, [
    'import',
    await written(change),
    '--run',
    folder(),
    '--size',
    '16',
  ]);
  expect([code, stderr]).toEqual([2, expect.stringMatching(sentence)]);
});

test('a YAML says nothing of it', async () => {
  const { code, stderr } = await call(main, [
    'import',
    await written(),
    '--run',
    folder(),
    '--config',
    'a.yaml',
  ]);
  expect([code, stderr]).toEqual([
    2,
    expect.stringMatching(/Expected no YAML for --config but received a\.yaml\./),
  ]);
});

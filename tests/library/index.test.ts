import fs from 'node:fs/promises';
import { silent } from '../../src/base/progress.js';
import { openDevice } from '../../src/engine/index.js';
import type * as api from '../../src/library/api.js';
import * as library from '../../src/library/index.js';
import { complete } from '../../src/sample/complete.js';
import { inpaint } from '../../src/sample/edit.js';
import { sample } from '../../src/sample/sample.js';
import { numbersRun } from '../exchange/numbers-run.js';
import { editConfig, inFolder, pixelsOf, readAll, saveRun, writeWaves } from '../support/editing.js';
import { freshFolder, removeFolders } from '../support/folder.js';

/** What is promised is there, of its types: the compiler's check. */
const { loadRun, readImage, writeImage, UserError }: typeof api = library;

const size = 16;
const cpu = { device: 'cpu', threads: 1 } as const;
let at: (name: string) => string;
let image: string;
let gpt: api.Run;
let maskgit: api.Run;
/** What the commands take. */
let command: Parameters<typeof sample>[0];
beforeAll(async () => {
  at = inFolder(await freshFolder());
  image = await writeWaves(at('waves.png'), size);
  await saveRun(at('gpt'), editConfig(size), ['car', 'cat']);
  await saveRun(at('maskgit'), editConfig(size, { kind: 'maskgit' }));
  [gpt, maskgit] = await Promise.all([loadRun(at('gpt'), cpu), loadRun(at('maskgit'), cpu)]);
  const device = await openDevice({ ...cpu, reporter: silent });
  command = { run: at('gpt'), n: 3, device, reporter: silent };
});
const { argv } = process;
afterAll(async () => {
  process.argv = argv;
  await gpt.dispose();
  await maskgit.dispose();
  await removeFolders();
});

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

/** The bytes of each as a PNG. */
async function written(images: readonly api.Image[]): Promise<Buffer[]> {
  const files = images.map((_, i) => at(`written/${i}.png`));
  for (const [i, image] of images.entries()) await writeImage(files[i]!, image);
  return readAll(files);
}

test('a run says what it is', () => {
  expect(gpt).toMatchObject({
    ...{ folder: at('gpt'), size, classes: ['car', 'cat'], prior: { kind: 'gpt', draws: 'in order' } },
    latent: { kind: 'codes', grids: [{ name: 'codes', height: 4, width: 4, vocab: 16 }] },
    config: { seed: 0, data: { size } },
    device: expect.stringMatching(/ONNX Runtime .*, CPU, 1 thread$/),
  });
  expect(maskgit).toMatchObject({ classes: [], prior: { kind: 'maskgit', draws: 'anywhere' } });
});

test('the pictures of a seed are those of vqgen sample, byte for byte, of two runs at once', async () => {
  const ofGpt = { n: 3, seed: 7, classes: ['cat', 'car'], topK: 9 };
  const [drawn, others] = await Promise.all([all(gpt.sample(ofGpt)), all(maskgit.sample({ seed: 7 }))]);
  expect(drawn.map(({ index, class: name }) => [index, name])).toEqual([
    ...[
      [0, 'cat'],
      [1, 'car'],
      [2, 'cat'],
    ],
  ]);
  const { files } = await sample({ ...command, ...ofGpt });
  expect(await written(drawn)).toEqual(await readAll(files));
  expect(others).toHaveLength(1);
  const { files: alone } = await sample({ ...command, run: at('maskgit'), n: 1, seed: 7 });
  expect(await written(others)).toEqual(await readAll(alone));
});

test('codes come back as the picture that was drawn of them', async () => {
  const [seen, again] = await gpt.encode([image, await readImage(image)]);
  expect(again).toEqual(seen);
  const [made] = await gpt.decode([seen!]);
  const [reconstruction] = await gpt.reconstruct([image]);
  expect(reconstruction).toMatchObject({
    image: made,
    seen: { data: new Uint8Array(await pixelsOf(image)) },
  });
  expect(reconstruction!.psnr).toBeGreaterThan(0);
  const other = { kind: 'codes', grids: { codes: new Int32Array(16) } } as const;
  const [alone] = await gpt.decode([other]);
  expect(await gpt.decode([seen!, other])).toEqual([made, alone]);
  expect(alone).not.toEqual(made);
});

test('proposals are those of vqgen complete and vqgen edit, of a file or of pixels', async () => {
  const pixels = await readImage(image);
  const how = { n: 2, seed: 3, classes: ['cat'] };
  const completed = await gpt.complete(pixels, { ...how, keep: 'left' });
  const files = await complete({ ...command, ...how, image, keep: 'left' });
  expect(completed.kept).toBe(0.5);
  expect(await written(completed.images)).toEqual(await readAll(files.files));

  const box = { x: 4, y: 4, width: 4, height: 4 };
  const edited = await maskgit.edit(image, { kind: 'inpaint', box, n: 2 });
  const inpainted = await inpaint({ ...command, run: at('maskgit'), image, box, n: 2 });
  expect(await written(edited.images)).toEqual(await readAll(inpainted.files));
  const data = new Uint8Array(size * size * 3);
  for (let y = 4; y < 8; y++) data.fill(255, 3 * (y * size + 4), 3 * (y * size + 8));
  const mask = { width: size, height: size, data };
  expect(await maskgit.edit(pixels, { kind: 'inpaint', mask, n: 2 })).toEqual(edited);

  const wider = await maskgit.edit(image, { kind: 'outpaint', right: 0.5, n: 1 });
  expect(wider.images[0]).toMatchObject({ width: 24, height: 16, index: 0 });
});

test('a run whose latents are numbers draws, encodes and walks: straight or along an arc, or to another class', async () => {
  const { run: folder } = await numbersRun(at('numbers'), 'cvae');
  const run = await loadRun(folder, cpu);
  expect(run).toMatchObject({
    latent: { kind: 'numbers', shape: [2, 2, 4] },
    classes: ['cat', 'dog', 'eel'],
  });
  expect(run.prior).toBeUndefined();
  const drawn = await all(run.sample({ n: 2, seed: 4, classes: ['eel', 'dog'] }));
  const { files } = await sample({ ...command, run: folder, n: 2, seed: 4, classes: ['eel', 'dog'] });
  expect(await written(drawn)).toEqual(await readAll(files));

  const [from, to] = drawn as [api.DrawnImage, api.DrawnImage];
  const latents = await run.encode(drawn);
  expect(latents).toMatchObject([{ kind: 'numbers' }, { kind: 'numbers' }]);
  const ends = await run.decode(latents);
  expect(ends[0]).not.toEqual(ends[1]);
  const straight = await run.interpolate({ from, to, steps: 3, way: 'straight' });
  expect([straight[0], straight[2]]).toEqual(ends);
  const [a, b] = latents.map((latent) => (latent as { numbers: Float32Array }).numbers);
  const numbers = a!.map((value, i) => 0.5 * value + 0.5 * b![i]!);
  expect(await run.decode([{ kind: 'numbers', numbers }])).toEqual([straight[1]]);
  const arc = await run.interpolate({ from, to, steps: 3 });
  expect([arc[0], arc[2]]).toEqual(ends);
  expect(arc[1]).not.toEqual(straight[1]);
  const other = await run.interpolate({ from, classes: ['eel', 'cat'] });
  expect(other).toHaveLength(9);
  expect(other[0]).toEqual(ends[0]);
  expect(other[8]).not.toEqual(ends[0]);
  await run.dispose();
});

test('a call tells how far it is, ends by its signal, and may be left early', async () => {
  const seen: api.Progress[] = [];
  await all(gpt.sample({ onProgress: (progress) => seen.push(progress) }));
  expect(seen.at(-1)).toEqual({ label: 'Sample', done: 16, total: 16, unit: 'places' });
  const controller = new AbortController();
  const stopping = { signal: controller.signal, onProgress: () => controller.abort('enough') };
  await expect(all(gpt.sample({ n: 20, ...stopping }))).rejects.toBe('enough');
  await expect(gpt.encode([image], { signal: controller.signal })).rejects.toBe('enough');
  for await (const { index } of gpt.sample({ n: 20 })) {
    expect(index).toBe(0);
    break;
  }
  await expect(all(gpt.sample())).resolves.toHaveLength(1);
});

test.each<[string, () => unknown, string | RegExp]>([
  [
    'a run',
    () => loadRun(at('none')),
    /^Expected a run folder for --run but received .*none, which does not exist/,
  ],
  [
    'a device',
    () => loadRun(at('gpt'), { device: 'gpu' as never }),
    'Expected one of cpu, webgpu, auto for loadRun, device but received gpu.',
  ],
  [
    'a name of an option',
    () => all(gpt.sample({ temprature: 1 } as never)),
    'Expected a known option for run.sample but received temprature. Did you mean temperature?',
  ],
  [
    'a number',
    () => all(gpt.sample({ n: 1.5 })),
    'Expected a whole number above 0 for run.sample, n but received 1.5.',
  ],
  ['a setting', () => all(gpt.sample({ topP: 2 })), /for --top-p but received 2\./],
  [
    'a class',
    () => all(gpt.sample({ classes: ['cow'] })),
    /Expected one of car, cat for --class but received cow/,
  ],
  [
    'pixels',
    () => gpt.encode([{ width: 2, height: 2, data: new Uint8Array(16) }]),
    /^Expected an image .*RGB, for run\.encode but received 2×2 with Uint8Array\(16 bytes\)\. Pixels with alpha/,
  ],
  [
    'a mask',
    () => maskgit.edit(image, { kind: 'inpaint', mask: 'none.png' }),
    /Expected a picture for none\.png/,
  ],
  [
    'codes',
    () => gpt.decode([{ kind: 'codes', grids: { codes: new Int32Array(16).fill(16) } }]),
    'Expected 4×4 codes from 0 to 15, Int32Array, as grids.codes for run.decode but received 16. run.latent says what a latent is.',
  ],
  [
    'an edit',
    () => maskgit.edit(image, { kind: 'paint' } as never),
    'Expected one of inpaint, outpaint, class for run.edit, kind but received paint.',
  ],
  ['a prior', () => gpt.edit(image, { kind: 'outpaint', left: 1 }), /Expected a prior that draws anywhere/],
  [
    'a file',
    () => writeImage('a.gif', { width: 1, height: 1, data: new Uint8Array(3) }),
    /for writeImage but received a\.gif/,
  ],
])('%s that is none is refused', async (_, call, message) => {
  const error = await Promise.resolve()
    .then(call)
    .catch((error: unknown) => error);
  expect(error).toBeInstanceOf(UserError);
  expect((error as Error).message).toMatch(message);
});

test('what was disposed of waits for its work and then does none; the other goes on', async () => {
  const third = await loadRun(at('maskgit'), cpu);
  const drawn = all(third.sample({ seed: 1 }));
  await third.encode([image]);
  await third.dispose();
  await drawn.catch((error) => expect(error).toBeInstanceOf(UserError));
  await expect(third.encode([image])).rejects.toThrow(
    'Expected an open run for a call but received one that was disposed of. Load it again: loadRun.',
  );
  await expect(maskgit.encode([image])).resolves.toHaveLength(1);
});

test('pictures are written by their ending, and read back', async () => {
  const pixels = await readImage(image);
  for (const name of ['a.png', 'a.webp']) {
    await writeImage(at(name), pixels);
    expect(await readImage(at(name))).toEqual(pixels);
  }
  await writeImage(at('a.jpg'), pixels);
  expect((await fs.readFile(at('a.jpg'))).subarray(0, 2)).toEqual(Buffer.from([0xff, 0xd8]));
});

test('examples/draw.ts draws, goes on from a half, and walks', async () => {
  process.argv = ['node', 'draw.ts', at('gpt'), at('drawn')];
  await import('../../examples/draw.js');
  expect((await fs.readdir(at('drawn'))).sort()).toEqual([
    ...['between-0.png', 'between-1.png', 'between-2.png', 'between-3.png', 'between-4.png'],
    ...['otherwise-0.png', 'otherwise-1.png'],
    ...['picture-0.png', 'picture-1.png', 'picture-2.png', 'picture-3.png'],
  ]);
  const [first, second, otherwise] = await Promise.all(
    ['picture-0.png', 'picture-1.png', 'otherwise-0.png'].map((name) => pixelsOf(at(`drawn/${name}`))),
  );
  const upper = (pixels: Buffer) => pixels.subarray(0, 4 * 3 * size);
  expect(upper(otherwise!)).toEqual(upper(first!));
  expect(upper(second!)).not.toEqual(upper(first!));
  expect(otherwise).not.toEqual(first);
});

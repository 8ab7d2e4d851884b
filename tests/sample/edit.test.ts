/** Editing with a prior that draws anywhere: a drawer that notes what it is given, and answers by what it was told. */
import sharp from 'sharp';
import { silent } from '../../src/base/progress.js';
import { stream } from '../../src/base/rng.js';
import { loadModel } from '../../src/checkpoint/store.js';
import type { Config } from '../../src/config/schema.js';
import { toBytes } from '../../src/data/pictures.js';
import { readEvalImage } from '../../src/data/reading.js';
import type { Device } from '../../src/engine/device.js';
import { openDevice } from '../../src/engine/index.js';
import { editClass, inpaint, outpaint } from '../../src/sample/edit.js';
import type { Loaded, TrainedRun } from '../../src/sample/loaded.js';
import { byGrid, cellsIn, endToEnd } from '../../src/stage1-vqgan/grids.js';
import { modelOf } from '../../src/stage1-vqgan/model.js';
import { decodeProgram, encodeProgram } from '../../src/stage1-vqgan/programs.js';
import type { Canvas } from '../../src/stage2-transformer/canvas.js';
import { priorFor } from '../../src/stage2-transformer/model.js';
import { editConfig, hierarchyConfig, inFolder, pixelsOf, readAll, writeWaves } from '../support/editing.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { saveTokenizer } from '../support/run.js';

const size = 32;
const classes = ['car', 'cat', 'house'];
let device: Device;
let at: (name: string) => string;
let image: string;
/** What the drawer was given, a canvas of four at a time. */
let given: Canvas[];
let scales: number[];
beforeEach(() => {
  given = [];
  scales = [];
});
beforeAll(async () => {
  at = inFolder(await freshFolder());
  device = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
  image = await writeWaves(at('waves.png'), size);
  await saveTokenizer(at('run'), editConfig(size));
  await saveTokenizer(at('levels'), hierarchyConfig(size));
});
afterAll(removeFolders);

async function models(
  name = 'run',
  config: Config = editConfig(size),
  draws: 'anywhere' | 'in order' = 'anywhere',
  known: readonly string[] = classes,
): Promise<TrainedRun> {
  const prior = priorFor(config, known);
  return {
    config,
    ...{ tokenizer: await loadModel(at(name), 'stage1'), newest: 1 },
    prior: {
      ...{ tensors: {}, sha256: '', step: 1, classes: known },
      model: {
        ...prior,
        draws,
        open: async (_device, _weights, { cfgScale }) => {
          scales.push(cfgScale);
          return {
            async draw(canvas, { random, onPlace }) {
              given.push({ ...canvas, codes: canvas.codes.slice() });
              const cells = cellsIn(prior.grids);
              for (let place = 0; place < cells; place++) onPlace?.(place);
              return canvas.codes.map((code, i) =>
                code >= 0 ? code : Math.floor(8 * random[Math.floor(i / cells)]!.uniform()),
              );
            },
            async dispose() {},
          };
        },
      },
    },
  } as TrainedRun;
}

const loadedOf = (trained: TrainedRun): Loaded => ({
  config: trained.config,
  tokenizer: async () => trained.tokenizer,
  models: async () => trained,
});
const shared = () => ({ run: at('run'), image, n: 1, device, reporter: silent });
const inpainted = async (o: object, m = models()) =>
  inpaint({ ...shared(), ...o, loaded: loadedOf(await m) });

/** The codes of the image. */
async function codesOf(name = 'run', config = editConfig(size)): Promise<Int32Array> {
  const { tensors } = await loadModel(at(name), 'stage1');
  const encoder = await device.prepare(encodeProgram(modelOf(config), tensors, 1));
  const { data } = await readEvalImage(image, size);
  return endToEnd(
    priorFor(config).grids,
    await encoder.run({ images: { dtype: 'float32', shape: [1, size, size, 3], data } }),
  );
}

/** The unknown cells of the first row of a canvas, of a grid of this side from `first` on. */
function unknownIn({ codes }: Canvas, side = 8, first = 0): string[] {
  return Array.from({ length: side }, (_, y) =>
    [...codes.subarray(first + y * side, first + (y + 1) * side)].map((c) => (c < 0 ? '?' : '.')).join(''),
  );
}

/** x 12 to 17, y 12 to 16: of cells of 4 pixels the columns 3 and 4 of row 3. */
const box = { x: 12, y: 12, width: 5, height: 4 };

describe('inpaint', () => {
  test('exactly the cells of the box and those around it are unknown, all others are the codes of the picture', async () => {
    const { kept } = await inpainted({ box });
    const [canvas] = given as [Canvas];
    expect(given).toHaveLength(1);
    expect(unknownIn(canvas)).toEqual([
      ...['........', '........', '..????..', '..????..', '..????..'],
      ...['........', '........', '........'],
    ]);
    expect(kept).toBe(1 - 12 / 64);
    const codes = await codesOf();
    for (const [i, code] of canvas.codes.entries()) if (code >= 0) expect(code).toBe(codes[i % 64]);
    expect(canvas.codes).toHaveLength(4 * 64);
    expect(new Set(codes).size).toBeGreaterThan(3);
    expect([...canvas.labels]).toEqual([-1, -1, -1, -1]);
  });

  test('all of the box is new, every pixel of a cell that is kept is the original’s', async () => {
    const { files } = await inpainted({ box, n: 2 });
    const before = toBytes(await readEvalImage(image, size));
    const { tensors } = await loadModel(at('run'), 'stage1');
    const decoder = await device.prepare(decodeProgram(modelOf(editConfig(size)), tensors, 4));
    const drawer = (await models()).prior.model.open(device, {}, { batch: 4, cfgScale: 1 });
    const random = [0, 1, 2, 3].map((i) => stream(0, 'edit', i));
    const codes = await (await drawer).draw(given[0]!, {
      choice: { temperature: 1, topK: 0, topP: 1 },
      random,
    });
    const decoded = toBytes((await decoder.run(byGrid(priorFor(editConfig(size)).grids, codes))).images);
    for (const [number, file] of files.entries()) {
      const after = await pixelsOf(file);
      let mixed = 0;
      for (const [i, byte] of after.entries()) {
        const [x, y] = [Math.floor(i / 3) % size, Math.floor(i / 3 / size)];
        const made = decoded[number * size * size * 3 + i];
        if (x < 8 || x >= 24 || y < 8 || y >= 20) expect(byte).toBe(before[i]);
        else if (x >= 12 && x < 17 && y >= 12 && y < 16) expect(byte).toBe(made);
        else if (byte !== before[i] && byte !== made) mixed++;
      }
      expect(mixed).toBeGreaterThan(100);
    }
  });

  test('a proposal depends on seed and number alone; a mask is as good as a box', async () => {
    const six = await inpainted({ box, n: 6 });
    const all = await readAll(six.files);
    expect(new Set(all.map((bytes) => bytes.toString('hex'))).size).toBe(6);
    expect(await readAll((await inpainted({ box })).files)).toEqual(all.slice(0, 1));
    const white = await sharp({ create: { width: 5, height: 4, channels: 3, background: 'white' } })
      .png()
      .toBuffer();
    const mask = at('mask.png');
    await sharp({ create: { width: size, height: size, channels: 3, background: 'black' } })
      .composite([{ input: white, left: 12, top: 12 }])
      .png()
      .toFile(mask);
    const masked = await inpainted({ mask, n: 6 });
    expect(masked.files).toEqual(six.files);
    expect(await readAll(masked.files)).toEqual(all);
    const elsewhere = await inpainted({ box: { ...box, x: 0 } });
    expect(elsewhere.files[0]).not.toBe(six.files[0]);
    expect(elsewhere.files[0]).toMatch(/run\/samples\/inpaint-waves-[0-9a-f]{8}_seed-0\/0000\.png$/);
  });

  test('of a larger picture, in its own pixels', async () => {
    const large = await writeWaves(at('large.png'), 128, 64); // halved, 16 pixels cropped at either side
    await inpainted({ image: large, box: { x: 56, y: 24, width: 10, height: 8 } });
    expect(unknownIn(given[0]!)[3]).toBe('..????..');
  });

  test('of codes on several grids each has its own cells', async () => {
    const config = hierarchyConfig(size);
    const { kept } = await inpainted({ run: at('levels'), box }, models('levels', config));
    expect(unknownIn(given[0]!, 8)).toEqual([
      ...['........', '........', '..????..', '..????..', '..????..'],
      ...['........', '........', '........'],
    ]);
    // Cells of 2 pixels: columns 6 to 8 of the rows 6 and 7.
    const fine = unknownIn(given[0]!, 16, 64);
    expect(fine.slice(4, 10)).toEqual([
      '................',
      ...new Array<string>(4).fill('.....?????......'),
      '................',
    ]);
    expect(kept).toBeCloseTo(1 - (12 + 20) / 320, 12);
    const codes = await codesOf('levels', config);
    for (const [i, code] of given[0]!.codes.entries()) if (code >= 0) expect(code).toBe(codes[i % 320]);
  });

  const refusals: [string, object, string | RegExp][] = [
    [
      'neither box nor mask',
      {},
      'Expected one of --box X,Y,W,H and --mask PNG for --box but received neither. A mask is white where the picture is to be redrawn.',
    ],
    ['both', { box, mask: 'mask.png' }, /for --box but received both\./],
    [
      'everything',
      { box: { x: 4, y: 4, width: 24, height: 24 } },
      'Expected a part of the picture for --box but received one that, grown by a cell on every side, covers all of its codes. vqgen sample draws whole pictures.',
    ],
    [
      'outside',
      { box: { ...box, x: 32 } },
      /Expected a box within the 32×32 pixels of .*waves\.png for --box/,
    ],
    ['no mask', { mask: 'none.png' }, 'Expected a picture for none.png but received no such file.'],
    ['no picture', { image: 'none.png', box }, 'Expected a picture for none.png but received no such file.'],
  ];
  test.each(refusals)('%s is refused', async (_, o, message) => {
    await expect(inpainted(o)).rejects.toThrow(message);
    expect(given).toEqual([]);
  });

  test('a mask without white is refused, one all white is', async () => {
    const plain = async (background: string) => {
      const file = at(`${background}.png`);
      await sharp({ create: { width: size, height: size, channels: 3, background } })
        .png()
        .toFile(file);
      return file;
    };
    const black = await plain('black');
    await expect(inpainted({ mask: black })).rejects.toThrow(
      `Expected white where the picture is to be redrawn for --mask but received ${black}, which has none in the middle square that the run sees.`,
    );
    await expect(inpainted({ mask: await plain('white') })).rejects.toThrow(
      /^Expected a part of the picture for --mask but received one that, grown/,
    );
  });

  test('a prior that draws in order is refused', async () => {
    await expect(inpainted({ box }, models('run', editConfig(size), 'in order'))).rejects.toThrow(
      `Expected a prior that draws anywhere in a picture for --run but received ${at('run')}, whose prior.kind gpt draws in order. Train a tokenizer and a prior with prior.kind maskgit into another run; vqgen complete continues a picture with any.`,
    );
  });
});

describe('class', () => {
  const edited = async (o: object, m = models()) =>
    editClass({ ...shared(), box, ...o, loaded: loadedOf(await m) });

  test('the box as other classes, in turn', async () => {
    const summary = await edited({ classes: ['house', 'cat'], n: 3, cfgScale: 2 });
    expect(summary.classes).toEqual(['house', 'cat', 'house']);
    expect([...given[0]!.labels]).toEqual([2, 1, 2, 1]);
    expect(unknownIn(given[0]!)[2]).toBe('..????..');
    expect(scales).toEqual([2]);
    expect(summary.files[0]).toMatch(
      /class-waves-[0-9a-f]{8}_seed-0_class-house\+cat_cfg-scale-2\/0000\.png$/,
    );
  });

  test('a class must be named, and known', async () => {
    await expect(edited({})).rejects.toThrow(
      'Expected one of car, cat, house for --class but received nothing. Without a class: vqgen edit inpaint.',
    );
    await expect(edited({ classes: ['horse'] })).rejects.toThrow(
      'Expected one of car, cat, house for --class but received horse. Did you mean house?',
    );
    await expect(edited({}, models('run', editConfig(size), 'anywhere', []))).rejects.toThrow(
      'Expected a prior that knows classes for --class but received nothing.',
    );
  });
});

describe('outpaint', () => {
  const outpainted = async (added: object, o: object = {}) =>
    outpaint({ ...shared(), added, ...o, loaded: loadedOf(await models()) });
  const open = new Array<string>(8).fill('..??????');

  test('beyond 100 %: three quarters of a window at a time, each beside what was drawn before', async () => {
    const { files, kept } = await outpainted({ right: 1.5 });
    expect(given).toHaveLength(2);
    for (const canvas of given) expect(unknownIn(canvas)).toEqual(open);
    expect(kept).toBe(1 / 2.5);
    const { width, height } = await sharp(files[0]!).metadata();
    expect([width, height]).toEqual([80, 32]);
    const codes = await codesOf();
    const row = (canvas: Canvas) => [...canvas.codes.subarray(8, 10)];
    expect(row(given[0]!)).toEqual([...codes.subarray(14, 16)]);
    expect(row(given[1]!)).not.toEqual(row(given[0]!));

    // All but the last cell of the original is kept to the pixel.
    const [before, after] = [await pixelsOf(image), await pixelsOf(files[0]!)];
    for (let y = 0; y < size; y++) {
      const kept = 3 * (size - 4);
      expect(after.subarray(240 * y, 240 * y + kept)).toEqual(before.subarray(96 * y, 96 * y + kept));
      expect(after.subarray(240 * y + kept, 240 * y + 96)).not.toEqual(
        before.subarray(96 * y + kept, 96 * (y + 1)),
      );
    }
  });

  test('on several sides, corners included; the same pictures whatever their number', async () => {
    const added = { left: 0.25, top: 0.5, bottom: 0.01 };
    const many = await outpainted(added, { n: 5 });
    const all = await readAll(many.files);
    const { width, height } = await sharp(all[0]!).metadata();
    expect([width, height]).toEqual([40, 32 + 16 + 4]); // a cell at least
    expect(await readAll((await outpainted(added)).files)).toEqual(all.slice(0, 1));
    expect(all[4]).not.toEqual(all[0]);
    expect(many.kept).toBeCloseTo(64 / (10 * 13), 12);
    const [before, after] = [await pixelsOf(image), await pixelsOf(many.files[0]!)];
    const at = (x: number, y: number) => after.subarray(3 * ((y + 16) * 40 + x + 8)).subarray(0, 3);
    expect(at(4, 4)).toEqual(before.subarray(3 * (4 * 32 + 4), 3 * (4 * 32 + 4) + 3));
    expect(at(31, 27)).toEqual(before.subarray(3 * (27 * 32 + 31), 3 * (27 * 32 + 31) + 3));
  });

  test('nothing to add is refused', async () => {
    await expect(outpainted({})).rejects.toThrow(
      'Expected a share of the picture for --left, --right, --top or --bottom but received none. For example: --right 50%',
    );
  });
});

// Every parser of what others wrote, one entry each: what it is called, valid files, the words it knows, how it is
// called, and the sentence of one of its checks, in whose place the planted fault throws.

import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { archives } from './archives.mjs';
import { refused } from './try.mjs';

const root = fileURLToPath(new URL('../../', import.meta.url));
const fixture = (name) => fs.readFileSync(path.join(root, 'tests/exchange/fixtures', name));
const configs = () =>
  ['tiny', 'drawn-32', 'vq-vae-2', 'maskgit', 'maps-labels'].map((name) =>
    fs.readFileSync(path.join(root, 'configs', `${name}.yaml`)),
  );
const json = (value) => Buffer.from(JSON.stringify(value));

const jsonWords = [
  '{',
  '}',
  '[',
  ']',
  ':',
  ',',
  '"',
  '\\',
  '\\u0000',
  'null',
  'true',
  '-1',
  '1e999',
  '0',
  '"a"',
  ' ',
];
const yamlWords = [
  ...[
    '{',
    '}',
    '[',
    ']',
    ': ',
    ', ',
    '- ',
    '? ',
    '\n',
    '\n  ',
    '"',
    "'",
    '|\n',
    '>-\n',
    '#',
    '&a ',
    '*a',
    '<<: ',
  ],
  ...[
    '!!js/function ',
    '!!binary ',
    '!x ',
    '%YAML 1.1\n',
    '---\n',
    '...\n',
    '.inf',
    '.nan',
    '0x10',
    '1e999',
    '~',
  ],
  ...[
    'stage1:',
    'prior:',
    'data:',
    'kind: fsq',
    'levels: ',
    'ch_mult: ',
    'codes: ',
    '__proto__: ',
    'constructor: ',
  ],
  ...['model:', 'target: ', 'params:', 'ddconfig:', '\t', '\u0000', '\ufeff'],
];
const pickleWords = [
  ...[
    '\x80\x02',
    '.',
    '(',
    '0',
    '1',
    '2',
    'N',
    '\x88',
    '\x89',
    'K\x01',
    'J\xff\xff\xff\xff',
    'M\x01\x02',
    ')',
    ']',
    '}',
  ],
  ...[
    '\x85',
    '\x86',
    '\x87',
    't',
    'l',
    'd',
    'a',
    'e',
    's',
    'u',
    '\x8f',
    '\x90',
    '\x91',
    'b',
    'R',
    '\x81',
    'Q',
    '\x93',
  ],
  ...[
    'q\x00',
    'q\x01',
    'h\x00',
    'h\x01',
    '\x94',
    'r\x00\x00\x00\xff',
    'j\x00\x00\x00\x00',
    '\x8c\x05model',
    '\x8c\x01a',
  ],
  ...[
    '\x8a\x02\xff\x7f',
    '\x8b\x00\x00\x00\x80',
    'G\x7f\xf8\x00\x00\x00\x00\x00\x00',
    'C\x03abc',
    'X\x01\x00\x00\x00b',
  ],
  ...[
    'ccollections\nOrderedDict\n',
    'ctorch._utils\n_rebuild_tensor_v2\n',
    'ctorch\nFloatStorage\n',
    'cos\nsystem\n',
  ],
  ...[
    'cbuiltins\nset\n',
    'comegaconf.A\nB\n',
    'ctorch._utils\n_rebuild_parameter\n',
    '\x95\x08\x00\x00\x00\x00\x00\x00\x00',
  ],
];
const zipWords = [
  'PK\x01\x02',
  'PK\x03\x04',
  'PK\x05\x06',
  'PK\x06\x06',
  'PK\x06\x07',
  '../',
  '/data.pkl',
  'data/0',
];

async function readAll(file) {
  try {
    for (const name of Object.keys(file.entries)) await file.read(name);
  } finally {
    await file.close();
  }
}

/** `bytes` with a header's length before it, and values behind. */
const withLength = (header, values = Buffer.alloc(24)) => {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, values]);
};

const config = (o = {}) => ({
  seed: 0,
  data: { dir: './pictures', size: 32, flip: true },
  stage1: {
    ch: 8,
    ch_mult: [1, 2],
    bottleneck: { kind: 'fsq', levels: [8, 6, 5] },
    codes: 240,
    perceptual: { weights: null },
  },
  prior: { kind: 'gpt', layers: 2, width: 32, heads: 2, condition: { kind: 'none' } },
  sample: { top_k: 10, cfg_schedule: 'linear' },
  ...o,
});
const hierarchy = config({
  stage1: {
    bottleneck: {
      kind: 'hierarchy',
      levels: [
        { kind: 'ema', codes: 32 },
        { kind: 'fsq', levels: [4, 4] },
      ],
    },
  },
  prior: { kind: 'maskgit', layers: 2 },
});

const condition = {
  ...{ kind: 'maps', size: 32, grid: { name: 'condition', height: 4, width: 4, vocab: 5 } },
  ...{ labels: [{ colour: '#000000', share: 0.5 }], tokenizer: { pictures: 'labels', pixels: 32 } },
};

/** A run folder with a stage, of which one file is tried. */
function runWith(folder, files) {
  const run = path.join(folder, 'run');
  fs.rmSync(run, { recursive: true, force: true });
  for (const [name, bytes] of Object.entries(files)) {
    fs.mkdirSync(path.dirname(path.join(run, name)), { recursive: true });
    fs.writeFileSync(path.join(run, name), bytes);
  }
  return run;
}

export const parsers = [
  {
    name: 'pickle',
    forgotten: /damaged one: there is no object/,
    async prepare(load, folder) {
      const [{ openTorchFile }, { readZip, writeZip }, { readAt }] = [
        await load('exchange/torch-file'),
        await load('exchange/zip'),
        await load('base/pieces'),
      ];
      const seeds = [];
      for (const name of ['checkpoint.ckpt', 'module.pt', 'protocol-4.pt', 'evil.ckpt', 'whole-module.pt']) {
        const handle = await fs.promises.open(path.join(root, 'tests/exchange/fixtures', name));
        const zip = await readZip(handle, (await handle.stat()).size, name);
        const main = zip.names.find((entry) => entry.endsWith('data.pkl'));
        const { begin, size } = (await zip.places([main])).get(main);
        seeds.push(Buffer.from(await readAt(handle, begin, size)));
        await handle.close();
      }
      return {
        ...{ seeds, words: pickleWords },
        async parse(_, bytes) {
          const archive = path.join(folder, 'archive.pt');
          const handle = await fs.promises.open(archive, 'w');
          await writeZip(
            handle,
            (async function* () {
              yield ['a/data.pkl', bytes];
              for (let i = 0; i < 3; i++) yield [`a/data/${i}`, Buffer.alloc(256)];
            })(),
          );
          await handle.close();
          return readAll(await openTorchFile(archive));
        },
      };
    },
  },
  {
    name: 'zip',
    forgotten: /damaged one: .*(overflows file bounds|lies in another part)/,
    async prepare(load) {
      const { openTorchFile } = await load('exchange/torch-file');
      const seeds = ['checkpoint.ckpt', 'module.pt', 'protocol-4.pt', 'bomb.ckpt'].map(fixture);
      return { seeds, words: zipWords, parse: async (file) => readAll(await openTorchFile(file)) };
    },
  },
  {
    name: 'old PyTorch format',
    forgotten: /a storage that nothing uses/,
    async prepare(load) {
      const { openTorchFile } = await load('exchange/torch-file');
      const seeds = ['old-format.pth', 'evil-old.pth'].map(fixture);
      return { seeds, words: pickleWords, parse: async (file) => readAll(await openTorchFile(file)) };
    },
  },
  {
    name: 'file of tensors',
    forgotten: /a header that is not JSON/,
    async prepare(load) {
      const { openTensors } = await load('exchange/open');
      const lfs = Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n');
      const page = Buffer.from('<!DOCTYPE html><html></html>');
      const small = withLength(
        json({ 'model.module.a': { dtype: 'F64', shape: [3], data_offsets: [0, 24] } }),
      );
      const seeds = [small, lfs, page, fixture('module.pt'), fixture('old-format.pth')];
      return {
        seeds,
        words: [...zipWords, ...jsonWords],
        parse: async (file) => readAll(await openTensors(file)),
      };
    },
  },
  {
    name: 'safetensors',
    forgotten: /a tensor that overlaps another|a gap at/,
    async prepare(load) {
      const { openSafetensors } = await load('checkpoint/safetensors');
      const header = {
        __metadata__: { a: 'b', names: '["x","y"]' },
        a: { dtype: 'F32', shape: [2, 1], data_offsets: [0, 8] },
        b: { dtype: 'F16', shape: [4], data_offsets: [8, 16] },
        c: { dtype: 'U8', shape: [], data_offsets: [16, 17] },
        d: { dtype: 'BF16', shape: [0, 3], data_offsets: [17, 17] },
        e: { dtype: 'U8', shape: [7], data_offsets: [17, 24] },
      };
      const seeds = [
        json(header),
        json({
          a: { dtype: 'F32', shape: [3], data_offsets: [0, 12] },
          b: { dtype: 'F32', shape: [3], data_offsets: [12, 24] },
        }),
        json({ a: { dtype: 'I64', shape: [3], data_offsets: [0, 24] } }),
      ];
      return {
        ...{
          seeds,
          words: [...jsonWords, '"F32"', '"shape"', '"data_offsets"', '__metadata__'],
          json: true,
          wrap: (b) => withLength(b),
        },
        parse: async (file) => readAll(await openSafetensors(file)),
      };
    },
  },
  {
    name: 'safetensors, bytes',
    forgotten: /announces a header of/,
    async prepare(load) {
      const { openSafetensors } = await load('checkpoint/safetensors');
      const one = json({ a: { dtype: 'F32', shape: [6], data_offsets: [0, 24] } });
      return {
        seeds: [withLength(one)],
        words: jsonWords,
        parse: async (file) => readAll(await openSafetensors(file)),
      };
    },
  },
  {
    name: 'YAML config',
    forgotten: /known config key/,
    async prepare(load, folder) {
      const { loadConfig } = await load('config/load');
      const place = path.join(folder, 'current.yaml');
      const parse = (file) => {
        fs.copyFileSync(file, place);
        return loadConfig({ config: place });
      };
      const trees = [config(), hierarchy].map(({ sample: _, ...others }) => json(others));
      return { seeds: configs(), words: yamlWords, json: trees, parse };
    },
  },
  {
    name: 'JSON config',
    forgotten: /It comes from/,
    async prepare(load, folder) {
      const { loadConfig } = await load('config/load');
      const place = path.join(folder, 'current.json');
      const parse = (file) => {
        fs.copyFileSync(file, place);
        return loadConfig({ config: place });
      };
      const { stage1, ...others } = config();
      return {
        seeds: [json(others), json({ stage1 }), json({ stage1: hierarchy.stage1 })],
        words: jsonWords,
        json: true,
        parse,
      };
    },
  },
  {
    name: 'key=value',
    forgotten: /text that is not/,
    async prepare(load) {
      const { loadConfig } = await load('config/load');
      const lines = [
        'stage1.ch=64',
        'stage1.ch_mult=[1, 2]',
        'stage1.bottleneck={ kind: fsq, levels: [8, 8] }',
        'data.dir=null',
      ];
      return {
        seeds: lines.map((l) => Buffer.from(l)),
        words: [...yamlWords, '='],
        parse: (_, bytes) => loadConfig({ set: [bytes.toString()] }),
      };
    },
  },
  {
    name: 'config.json of a run',
    forgotten: /It comes from/,
    async prepare(load, folder) {
      const { readRunConfig } = await load('checkpoint/run');
      const seeds = [config(), hierarchy].map((c) => json({ vqgen: '0.1.0', ...c }));
      return {
        seeds,
        words: jsonWords,
        json: true,
        parse: (_, bytes) => readRunConfig(runWith(folder, { 'config.json': bytes })),
      };
    },
  },
  {
    name: 'state.json',
    forgotten: /the state that vqgen saved.*(best|metrics|guard|kept|seconds)/,
    async prepare(load) {
      const { parseState, stateText } = await load('checkpoint/state');
      const plain = {
        ...{ step: 4, seconds: 1.5, validated: 2, best: { step: 2, value: 0.5 } },
        metrics: {
          sums: { loss: { sum: 1, count: 2 } },
          steps: 2,
          seconds: 1,
          usage: [{ name: 'codes', counts: [1, 0, 2] }],
        },
        ...{ kept: { quantised: 1, adversarial: 3 }, stale: 0 },
        guard: {
          lr: 1e-3,
          factor: 1,
          rollbacks: 0,
          good: 2,
          watch: { steps: 3, recent: 1, fast: 1, slow: 1, first: 1, best: null },
        },
      };
      const sum = { bytes: 5, sha256: 'a'.repeat(64) };
      const sealed = Buffer.from(stateText({ state: plain, checksums: { model: sum, optimizer: sum } }));
      // Half of the cases have a checksum that fits what was changed.
      const wrap = (bytes) => {
        const text = bytes.toString();
        if (!text.startsWith('{') || bytes.length % 2 === 0) return bytes;
        const rest = text.slice(1);
        return Buffer.from(
          `{"sha256":"${createHash('sha256').update(rest.trimEnd()).digest('hex')}",${rest}`,
        );
      };
      return {
        seeds: [json(plain), sealed, json({ step: 0 })],
        words: jsonWords,
        json: true,
        wrap,
        parse: (file, bytes) => parseState(bytes.toString(), file),
      };
    },
  },
  {
    name: 'notes beside a prior',
    forgotten: /the JSON that vqgen saved/,
    async prepare(load, folder) {
      const [{ priorClasses, speaksCodesOf }, { priorCondition }] = [
        await load('stage2-transformer/model'),
        await load('tokenize/conditions/begun'),
      ];
      const parse = (_, bytes) => {
        const text = bytes.toString();
        const [name, read] = text.startsWith('[')
          ? ['classes', priorClasses]
          : text.startsWith('{"sha256')
            ? ['tokenizer', (run) => speaksCodesOf(run, 'a')]
            : ['condition', priorCondition];
        return read(runWith(folder, { [`prior/${name}.json`]: bytes }));
      };
      const seeds = [json(['cat', 'dog']), json({ sha256: 'a'.repeat(64) }), json(condition)];
      return { seeds, words: jsonWords, json: true, parse };
    },
  },
  {
    name: 'pictures.json',
    forgotten: /JSON that vqgen saved/,
    async prepare(load, folder) {
      const same = await load('stage1-vqgan/same-pictures');
      const seeds = [
        json({ dir: ['a/1.png', 'b/2.png'], val_dir: ['c.png'] }),
        json({ pictures: { dir: [['a.png', 'ab12']] } }),
      ];
      return {
        seeds,
        words: jsonWords,
        json: true,
        parse: (_, bytes) => same.readPictures(runWith(folder, { 'pictures.json': bytes })),
      };
    },
  },
  {
    name: 'token file',
    forgotten: /a file without codes or their description|the label \d+ of|names for/,
    async prepare(load, folder) {
      const { openTokenWriter, readTokens } = await load('tokenize/token-file');
      const headers = [];
      const place = path.join(folder, 'tokens.safetensors');
      const grids = [{ name: 'codes', height: 1, width: 2, vocab: 9 }];
      const two = [...grids, { name: 'more', height: 1, width: 1, vocab: 70_000 }];
      for (const [set, told] of [
        [grids],
        [two],
        [grids, { ...condition, grid: { ...condition.grid, height: 1, width: 1 } }],
      ]) {
        const writer = await openTokenWriter(place, set, told);
        const rows = { codes: Int32Array.of(1, 2, 8, 0), more: Int32Array.of(3, 69_999) };
        const codes = set.map(({ name, height, width }) => [
          name,
          { dtype: 'int32', shape: [2, height, width], data: rows[name] },
        ]);
        await writer.append(Object.fromEntries(codes), told && Int32Array.of(1, 4));
        await writer.finish(
          { tokenizer: 'ab', size: 32, names: ['a', 'b'], classes: ['x', 'y'], codings: 1, condition: told },
          Int32Array.of(0, 1),
        );
        const bytes = fs.readFileSync(place);
        const length = Number(bytes.readBigUInt64LE());
        headers.push({
          header: JSON.parse(bytes.subarray(8, 8 + length)),
          values: bytes.subarray(8 + length),
        });
      }
      // Without the checksum, so that what it covers is looked at.
      const seeds = headers.map(({ header }) => {
        const { checksum: _, ...metadata } = header.__metadata__;
        const parsed = Object.entries(metadata).map(([key, text]) => [
          key,
          /^[[{]/.test(text) ? JSON.parse(text) : text,
        ]);
        return json({ ...header, __metadata__: Object.fromEntries(parsed) });
      });
      const wrap = (bytes) => {
        let header = bytes;
        let { values } = headers[0];
        try {
          const { __metadata__: metadata, ...others } = JSON.parse(bytes);
          const end = Math.max(...Object.values(others).map(({ data_offsets: [, to] }) => to));
          values = headers.find(({ values }) => values.length === end)?.values ?? values;
          const texts = Object.entries(metadata).map(([key, v]) => [
            key,
            typeof v === 'string' ? v : JSON.stringify(v),
          ]);
          header = json({ ...others, __metadata__: Object.fromEntries(texts) });
        } catch {}
        return withLength(header, values);
      };
      return {
        seeds,
        words: jsonWords,
        json: true,
        wrap,
        parse: (file) => readTokens(file, 'Next: tokenize.'),
      };
    },
  },
  {
    name: 'index of the cache',
    forgotten: /"kept":\[/,
    async prepare(load) {
      const cache = await load('data/cache-index');
      const index = {
        kept: [0, 2],
        widths: [32, 40],
        heights: [32, 32],
        sums: [1, 2],
        contents: [null, 'ab'],
        skipped: [{ name: 'x', reason: 'y' }],
      };
      const wrap = (bytes) =>
        Buffer.concat([
          Buffer.from(`${createHash('sha256').update(bytes.toString()).digest('hex')}\n`),
          bytes,
        ]);
      const parse = (_, bytes) => cache.parseIndex(bytes.toString(), { pictures: 3, size: 32 }) ?? refused;
      return { seeds: [json(index)], words: jsonWords, json: true, wrap, parse };
    },
  },
  {
    name: 'ONNX metadata',
    forgotten: /which is something else/,
    async prepare(load) {
      const [{ encodePortable }, { readOnnxMetadata }] = [
        await load('engine/onnx'),
        await load('engine/onnx-file'),
      ];
      const graph = {
        name: 'g',
        nodes: [],
        initializers: [],
        inputs: [{ name: 'x', type: 'float32', shape: [1] }],
        outputs: [],
      };
      const metadata = {
        vqgen: '0.1.0',
        model: 'prior',
        config: JSON.stringify(config()),
        classes: '["a"]',
        '': 'x',
        __proto__: 'y',
      };
      const seeds = [Buffer.from(encodePortable(graph, metadata)), Buffer.from(encodePortable(graph, {}))];
      const words = [
        '\x72',
        '\x0a',
        '\x12',
        '\x3a',
        '\xff\xff\xff\xff\x0f',
        '\x72\x04\x0a\x02ab',
        '\x0b',
        '\x0c',
        '\x08\x09',
      ];
      return { seeds, words, parse: (file) => readOnnxMetadata(file, '--model') };
    },
  },
  {
    name: 'what exports say',
    forgotten: /what its prior is told/,
    async prepare(load) {
      const { classesIn, conditionIn, configIn, stepIn } = await load('exchange/metadata-in');
      const parse = (file, bytes) => {
        let metadata;
        try {
          metadata = JSON.parse(bytes);
        } catch {
          metadata = { config: bytes.toString(), classes: bytes.toString(), condition: bytes.toString() };
        }
        const texts = Object.entries(metadata ?? {}).map(([key, v]) => [
          key,
          typeof v === 'string' ? v : JSON.stringify(v),
        ]);
        const said = Object.fromEntries(texts);
        for (const read of [conditionIn, classesIn, configIn]) read(said, file);
        stepIn(said, 'prior_step', file);
      };
      const seeds = [config(), hierarchy].map((c) =>
        json({ config: c, classes: ['a'], condition, prior_step: '7' }),
      );
      return { seeds, words: jsonWords, json: true, parse };
    },
  },
  {
    name: 'what was imported',
    forgotten: /what was imported/,
    async prepare(load) {
      const { parsePrior, parseTokenizer } = await load('exchange/taming-names');
      const parse = (file, bytes) => {
        const text = bytes.toString();
        if (text.includes('block')) parsePrior(text, file);
        else parseTokenizer(text, file);
      };
      const seeds = [
        { embeddings: 8, used: [1, 2], loss: { a: 1 } },
        { vocabulary: 8, block: 9, classes: 0, start: 1 },
      ];
      return { seeds: seeds.map(json), words: jsonWords, json: true, parse };
    },
  },
  {
    name: "taming's YAML",
    forgotten: /which has none/,
    async prepare(load) {
      const [{ readProject, tokenizerConfig, priorConfig, toldSize }, { loadConfig }] = [
        await load('exchange/taming-config'),
        await load('config/load'),
      ];
      const shapes = {
        'encoder.conv_in.weight': [8, 3, 3, 3],
        'decoder.conv_in.weight': [8, 4, 3, 3],
        'decoder.conv_out.weight': [3, 8, 3, 3],
        'encoder.down.0.block.0.conv1.weight': [8, 8, 3, 3],
        'quantize.embedding.weight': [16, 4],
        'transformer.tok_emb.weight': [16, 32],
        'transformer.pos_emb': [1, 64, 32],
      };
      const shape = (name) => (Object.hasOwn(shapes, name) ? shapes[name] : undefined);
      const read = (file) => {
        const { params } = readProject(file);
        const section = (key) => (typeof params[key]?.params === 'object' && params[key].params) || params;
        const overrides = tokenizerConfig(shape, section('first_stage_config'), {
          file,
          prefix: '',
          size: 16,
        });
        loadConfig({ config: 'imagenet-f16', overrides });
        toldSize(params, 16);
        if (params.transformer_config === undefined) return;
        const prior = priorConfig(shape, params, { file, codes: 16, tokens: 16, told: false });
        loadConfig({ config: 'imagenet-f16', overrides: { ...overrides, ...prior.overrides } });
      };
      const seeds = ['vqgan', 'gumbel', 'transformer', 'segmentation', 'depth'].map((name) =>
        fixture(`${name}.yaml`),
      );
      const trees = seeds.map((yaml) => json(parse(`${yaml}`)));
      return { seeds, words: yamlWords, json: trees, parse: read };
    },
  },
  {
    name: 'statistics',
    forgotten: /which has those of/,
    async prepare(load) {
      const { readStatistics } = await load('evaluate/statistics');
      const header = {
        __metadata__: { count: '5', features: 'f', digest: 'd' },
        mean: { dtype: 'F64', shape: [1], data_offsets: [0, 8] },
        covariance: { dtype: 'F64', shape: [1, 1], data_offsets: [8, 16] },
      };
      const wrap = (bytes) => withLength(bytes, Buffer.alloc(16));
      return {
        seeds: [json(header)],
        words: jsonWords,
        json: true,
        wrap,
        parse: (file) => readStatistics(file, { name: 'f', width: 1 }),
      };
    },
  },
  {
    name: 'recipe in a PNG',
    forgotten: /whose recipe is another/,
    async prepare(load) {
      const [{ recipeIn }, { withText }, { encodePng }] = [
        await load('sample/recipe'),
        await load('data/png-text'),
        await load('data/pictures'),
      ];
      const png = await encodePng({ width: 2, height: 2, data: new Uint8Array(12) });
      const recipe = {
        ...{ vqgen: '0.1.0', command: 'sample', run: 'mine', weights: { tokenizer: 'a'.repeat(64) } },
        ...{ device: 'cpu', size: '8x8', seed: 3, settings: { temperature: 1, top_k: 5 } },
      };
      const condition = { sha256: 'b'.repeat(64), number: 1 };
      return {
        seeds: [json({ ...recipe, index: 1, class: 'a', condition }), json({ ...recipe, images: 4 })],
        words: jsonWords,
        json: true,
        wrap: (bytes) => withText(png, bytes.toString('latin1')),
        parse: (file, bytes) => recipeIn(bytes, file),
      };
    },
  },
  {
    name: 'PNG with a recipe',
    forgotten: /its checksum does not fit|which is cut off/,
    async prepare(load) {
      const [{ recipeIn }, { withText }, { encodePng }] = [
        await load('sample/recipe'),
        await load('data/png-text'),
        await load('data/pictures'),
      ];
      const png = await encodePng({ width: 2, height: 2, data: new Uint8Array(12) });
      return {
        seeds: [withText(png, '{"vqgen":"0.1.0"}'), png],
        words: ['tEXt', 'vqgen\0', 'IHDR', 'IDAT', 'IEND'],
        parse: (file, bytes) => recipeIn(bytes, file),
      };
    },
  },
  ...archives,
];

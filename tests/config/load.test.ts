import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { UserError } from '../../src/base/errors.js';
import { levelsOf } from '../../src/config/bottlenecks.js';
import { configKeys, describeKey } from '../../src/config/keys.js';
import { parseConfig, parseSaved } from '../../src/config/layers.js';
import { changeConfig, loadConfig, shippedConfigs } from '../../src/config/load.js';
import { type Config, configSchema } from '../../src/config/schema.js';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-config-'));
afterAll(() => fs.rmSync(folder, { recursive: true }));

function file(text: string): string {
  const name = path.join(folder, `${fs.readdirSync(folder).length}.yaml`);
  fs.writeFileSync(name, text);
  return name;
}

function mistake(load: () => unknown): string {
  try {
    load();
  } catch (error) {
    expect(error).toBeInstanceOf(UserError);
    return (error as Error).message;
  }
  throw new Error('nothing was refused');
}

test('defaults.yaml has every key, and the values of the schema', () => {
  expect(loadConfig({ config: 'defaults' })).toEqual(configSchema.parse({}));
  const text = fs.readFileSync('configs/defaults.yaml', 'utf8');
  for (const key of configKeys) expect(text).toMatch(new RegExp(`^ *${key.split('.').at(-1)}: `, 'm'));
});

test('every shipped config is valid', () => {
  expect(shippedConfigs()).toEqual(
    'ae cifar10 cvae dae defaults drawn-32 imagenet-f16 mae maps-depth maps-labels maskgit photos-128 photos-64 tiny vae vq-vae vq-vae-2 vqgan'.split(
      ' ',
    ),
  );
  expect(loadConfig({ config: 'vqgan' })).toEqual(loadConfig());
  for (const config of shippedConfigs()) expect(() => loadConfig({ config })).not.toThrow();
});

test('the published config has the published values', () => {
  const { stage1, prior, sample } = loadConfig({ config: 'imagenet-f16' });
  expect(stage1).toMatchObject({
    ch: 128,
    ch_mult: [1, 1, 2, 2, 4],
    num_res_blocks: 2,
    attn_resolutions: [16],
    z_channels: 256,
    embed_dim: 256,
    codes: 1024,
    beta: 0.25,
    legacy_beta: true,
    codebook: { init: 'uniform', warmup: 0, restart_after: 0 },
    disc: { ch: 64, layers: 3, loss: 'hinge', start: 250001, weight: 0.8, weight_cap: 1e4 },
    lr: 5.4e-5,
    betas: [0.5, 0.9],
    clip: 0,
    ema: 0,
  });
  expect(prior).toMatchObject({ layers: 24, heads: 16, width: 1024, dropout: 0, lr: 9e-6 });
  expect(sample).toMatchObject({ temperature: 1, top_k: 250, top_p: 1, cfg_scale: 1 });
});

test('a flag beats --set, which beats the file, which beats the default', () => {
  const config = file('stage1: { steps: 1, lr: 0.1, batch_size: 3 }');
  const loaded = loadConfig({
    config,
    set: ['stage1.steps=2', 'stage1.lr=0.2'],
    overrides: { 'stage1.steps': 4, 'stage1.lr': undefined },
  });
  expect(loaded.stage1).toMatchObject({ steps: 4, lr: 0.2, batch_size: 3, ch: 32 });
});

test('values of --set are YAML; a section keeps its other keys', () => {
  const { stage1, data } = loadConfig({
    set: ['stage1.ch_mult=[1, 2]', 'data.flip=true', 'stage1.lr=1e-4', 'stage1.disc={weight: 0}'],
  });
  expect(stage1).toMatchObject({ ch_mult: [1, 2], lr: 1e-4, disc: { weight: 0, layers: 2 } });
  expect(data.flip).toBe(true);
});

test('paths become absolute', () => {
  const { data, stage1 } = loadConfig({
    set: ['data.val_dir=b', 'stage1.perceptual.weights=../c.safetensors'],
    overrides: { 'data.dir': 'a' },
  });
  expect([data.dir, data.val_dir, stage1.perceptual.weights]).toEqual([
    path.resolve('a'),
    path.resolve('b'),
    path.resolve('../c.safetensors'),
  ]);
});

test('JSON is read as well, and an empty file leaves everything to defaults.yaml', () => {
  expect(loadConfig({ config: file('{"stage1": {"ch": 64}}') }).stage1.ch).toBe(64);
  expect(loadConfig({ config: file('# nothing') })).toEqual(loadConfig({ config: 'defaults' }));
});

test('guidance as an earlier vqgen saved it: of passes alone', () => {
  const saved = (kind: string) =>
    parseSaved({ prior: { kind }, sample: { cfg_schedule: 'cosine', top_k: 5 } }, 'config.json').sample;
  expect(saved('maskgit')).toMatchObject({ cfg_growth: 'cosine', top_k: 5 });
  expect(saved('gpt')).toMatchObject({ cfg_growth: null, top_k: 5 });
  expect(parseSaved({ sample: { cfg_growth: 'linear' } }, 'config.json').sample.cfg_growth).toBe('linear');
});

test('a later command changes its own sections only', () => {
  const config = loadConfig();
  expect(changeConfig(config, { set: ['prior.heads=4'], sections: ['prior'] }).prior.heads).toBe(4);
  expect(mistake(() => changeConfig(config, { set: ['stage1.codes=8'], sections: ['prior'] }))).toBe(
    'Expected a key of the section prior for --set but received stage1.codes=8. The other sections were settled by train-stage1: to change them, train a new run with --run.',
  );
});

test('keys of another kind of prior are refused where they are set', () => {
  const of = (...set: string[]) => mistake(() => loadConfig({ set: set.map((key) => `prior.${key}`) }));
  expect(of('kind=maskgit', 'order=annealed')).toBe(
    'Expected its default raster for prior.order but received annealed. With prior.kind maskgit nothing comes of it; it is of gpt.',
  );
  expect(of('kind=pixelcnn', 'norm=rms')).toContain('it is of gpt and maskgit.');
  expect(of('substitute=0.2')).toContain('Expected its default 0 for prior.substitute but received 0.2');
  expect(loadConfig({ set: ['prior.kind=maskgit', 'prior.norm=rms'] }).prior.norm).toBe('rms');
  // What a file says of its own kind does not stand in the way of another one.
  const config = file('{"prior": {"pkeep": 0.9, "norm": "rms"}}');
  const { prior } = loadConfig({ config, set: ['prior.kind=maskgit'] });
  expect([prior.pkeep, prior.norm]).toEqual([1, 'rms']);
});

test('a sequence begins with a code that is told only where one is, before anything else', () => {
  const of = (...set: string[]) =>
    mistake(() => loadConfig({ set: ['start=told', ...set].map((key) => `prior.${key}`) }));
  expect(of()).toBe(
    'Expected edges, lowres, palette or maps for prior.condition.kind but received none. With prior.start told a sequence begins with the first code that is told.',
  );
  expect(of('condition.kind=edges')).toBe(
    'Expected none for prior.class_labels but received subfolders. With prior.start told a sequence begins with the first code that is told, and no class.',
  );
  expect(of('condition.kind=edges', 'class_labels=none', 'order=annealed')).toBe(
    'Expected raster for prior.order but received annealed. With prior.start told a sequence begins with the first code that is told.',
  );
});

test('another kind of prior begins with its own sizes, unless they are given with it', () => {
  const sizes = ({ prior }: Config) => [prior.layers, prior.width];
  const pixelcnn = loadConfig({ set: ['prior.width=48', 'prior.kind=pixelcnn'] });
  expect(sizes(pixelcnn)).toEqual([8, 48]);
  expect(sizes(parseConfig({ prior: { kind: 'pixelcnn', layers: 3 } }, 'test'))).toEqual([3, 96]);
  const change = (config: Config, ...set: string[]) => changeConfig(config, { set, sections: ['prior'] });
  expect(sizes(change(loadConfig(), 'prior.kind=pixelcnn'))).toEqual([8, 96]);
  expect(sizes(change(pixelcnn, 'prior.kind=pixelcnn', 'prior.lr=1'))).toEqual([8, 48]);
  expect(sizes(change(pixelcnn, 'prior.kind=gpt'))).toEqual([4, 256]);
});

describe('one sentence for a mistake', () => {
  const set = (...items: string[]) => mistake(() => loadConfig({ config: 'defaults', set: items }));

  test.each([
    [
      ['stage1.chh=64'],
      'Expected a known config key for --set but received stage1.chh. Did you mean stage1.ch?',
    ],
    [['steps=9'], 'Expected a known config key for --set but received steps. Did you mean stage1.steps?'],
    [
      ['stage1.ch.x=9'],
      'Expected a known config key for --set but received stage1.ch.x. Did you mean stage1.ch?',
    ],
    [
      ['__proto__.x=9'],
      'Expected a known config key for --set but received __proto__. The file configs/defaults.yaml explains every key.',
    ],
    [['stage1.ch'], 'Expected key=value for --set but received stage1.ch. For example --set stage1.ch=64.'],
    [
      ['stage1.ch=0'],
      'Expected a whole number above 0 for stage1.ch but received 0. It comes from --set stage1.ch=0.',
    ],
    [
      ['prior.seed=-1'],
      'Expected a whole number of at least 0 or null for prior.seed but received -1. It comes from --set prior.seed=-1.',
    ],
    [['data.dir=3'], 'Expected text or null for data.dir but received 3. It comes from --set data.dir=3.'],
    [
      ['stage1.lr=.inf'],
      'Expected a number above 0 for stage1.lr but received Infinity. It comes from --set stage1.lr=.inf.',
    ],
    [
      ['stage1.ch=1.5'],
      'Expected a whole number above 0 for stage1.ch but received 1.5. It comes from --set stage1.ch=1.5.',
    ],
    [
      ['stage1.lr=fast'],
      'Expected a number above 0 for stage1.lr but received fast. It comes from --set stage1.lr=fast.',
    ],
    [
      ['prior.dropout=1'],
      'Expected a number of at least 0 and below 1 for prior.dropout but received 1. It comes from --set prior.dropout=1.',
    ],
    [
      ['data.flip=yes'],
      'Expected true or false for data.flip but received yes. It comes from --set data.flip=yes.',
    ],
    [
      ['stage1.disc.loss=mse'],
      'Expected one of hinge, vanilla for stage1.disc.loss but received mse. It comes from --set stage1.disc.loss=mse.',
    ],
    [
      ['stage1.ch_mult=[1, 0]'],
      'Expected a whole number above 0 for each of stage1.ch_mult but received 0. It comes from --set stage1.ch_mult=[1, 0].',
    ],
    [
      ['stage1.ch_mult=2'],
      'Expected a list of at most 16 whole numbers above 0 for stage1.ch_mult but received 2. It comes from --set stage1.ch_mult=2.',
    ],
    [['prior=3'], 'Expected a section of keys for prior but received 3. It comes from --set prior=3.'],
    [
      ['data.size=30'],
      'Expected a multiple of 4 for data.size but received 30. stage1.ch_mult has 3 levels, and the picture is halved between them: change one of the two.',
    ],
    [
      ['stage1.attn_resolutions=[12]'],
      'Expected one of 32, 16, 8 for stage1.attn_resolutions but received 12. These are the resolutions that data.size and stage1.ch_mult lead to.',
    ],
    [
      ['prior.heads=7'],
      'Expected a divisor of prior.width (256) for prior.heads but received 7. Try --set prior.heads=8.',
    ],
    [
      ['prior.positions=rope', 'prior.heads=128'],
      'Expected a divisor of a quarter of prior.width (64) for prior.heads but received 128. With prior.positions rope a head has a multiple of 4 numbers: try --set prior.heads=64.',
    ],
    [
      ['prior.positions=rope', 'prior.width=30', 'prior.heads=5'],
      'Expected a multiple of 4 for prior.width but received 30. With prior.positions rope a head has a multiple of 4 numbers: try 32.',
    ],
    [
      ['prior.kind=pixelcnn', 'prior.attention_every=4', 'prior.heads=7'],
      'Expected a divisor of prior.width (96) for prior.heads but received 7. Try --set prior.heads=6.',
    ],
    [
      ['prior.kind=pixelcnn', 'prior.precision=int8'],
      'Expected f32 or f16 for prior.kind pixelcnn for prior.precision but received int8. Products of 8-bit integers are for the linear layers of gpt and maskgit.',
    ],
    [
      ['prior.kind=pixelcnn', 'prior.attention_every=9'],
      'Expected at most prior.layers (8) for prior.attention_every but received 9. 0 is without attention.',
    ],
    [
      ['stage1.ch=36'],
      'Expected at most 8 channels or a multiple of 8 for stage1.ch times each of stage1.ch_mult but received 36 × 1 = 36. Group normalisation splits them into stage1.norm_groups (8): try --set stage1.ch=40.',
    ],
    [
      ['stage1.perceptual.kind=lpips-vgg16'],
      'Expected a safetensors file for stage1.perceptual.weights but received null. The kind lpips-vgg16 needs trained weights; random-features needs none.',
    ],
    [
      [
        'data.size=8',
        'stage1.disc.weight=0',
        'stage1.perceptual={kind: lpips-vgg16, weights: x.safetensors}',
      ],
      'Expected at least 16 for data.size but received 8. The network of lpips-vgg16 halves the picture four times; random-features takes any size.',
    ],
    [
      ['stage1.disc.start=1.5'],
      'Expected a whole number of steps, a fraction of the run below 1, or flat for stage1.disc.start but received 1.5. For example 0.5: the second half of the run.',
    ],
    [
      ['stage1.disc.start=soon'],
      'Expected a number of at least 0 or flat for stage1.disc.start but received soon. It comes from --set stage1.disc.start=soon.',
    ],
    [
      ['stage1.disc.layers=4'],
      'Expected at most 3 for stage1.disc.layers but received 4. Pictures of 32 pixels leave nothing to judge after so many halvings.',
    ],
    [
      ['stage1.accumulate=5'],
      'Expected a divisor of stage1.batch_size (16) for stage1.accumulate but received 5. A batch is computed in so many equal parts: try --set stage1.accumulate=4.',
    ],
    [
      ['stage1.bottleneck.kind=ema', 'stage1.accumulate=2'],
      'Expected 1 for stage1.accumulate but received 2, because codes that are averages follow a whole batch. Take a smaller stage1.batch_size, or another stage1.bottleneck.kind.',
    ],
    [
      ['prior.batch_size=6', 'prior.accumulate=12'],
      'Expected a divisor of prior.batch_size (6) for prior.accumulate but received 12. A batch is computed in so many equal parts: try --set prior.accumulate=6.',
    ],
    [
      ['sample.top_k=300'],
      'Expected at most stage1.codes (256) for sample.top_k but received 300. 0 draws among all codes.',
    ],
    [
      [
        'sample.top_k=300',
        'stage1.bottleneck.kind=hierarchy',
        'stage1.bottleneck.levels=[{codes: 64}, {codes: 299}]',
      ],
      'Expected at most 299, the codes of the largest level, for sample.top_k but received 300. 0 draws among all codes.',
    ],
    [
      ['stage1.bottleneck.levels=[4, {codes: 3}]'],
      'Expected only numbers or only sections of keys for stage1.bottleneck.levels but received [4,{"codes":3}]. For example [8, 6, 5], or [{ kind: ema }, { kind: ema }].',
    ],
    [
      ['data.val_dir=x'],
      'Expected a folder for data.dir but received null. data.val_dir holds the validation images of a data.dir.',
    ],
  ])('--set %s', (items, text) => {
    expect(set(...items)).toBe(text);
  });

  test('in a file', () => {
    const config = file('stage1:\n  codess: 3\n');
    expect(mistake(() => loadConfig({ config }))).toBe(
      `Expected a known config key for ${config} but received stage1.codess. Did you mean stage1.codes?`,
    );
    const broken = file('stage1: [1\nch: 2');
    expect(mistake(() => loadConfig({ config: broken }))).toContain(
      `Expected YAML for ${broken} but received`,
    );
    const list = file('- 1');
    expect(mistake(() => loadConfig({ config: list }))).toContain('Expected a mapping of keys to values for');
  });

  test('the file is told apart from --set', () => {
    const config = file('stage1: { ch: -1 }');
    expect(mistake(() => loadConfig({ config, set: ['stage1.codes=8'] }))).toContain(
      `It comes from ${config}.`,
    );
  });

  test('--config', () => {
    expect(mistake(() => loadConfig({ config: 'cifar' }))).toBe(
      'Expected a YAML file or one of ae, cifar10, cvae, dae, defaults, drawn-32, imagenet-f16, mae, maps-depth, maps-labels, maskgit, photos-128, photos-64, tiny, vae, vq-vae, vq-vae-2, vqgan for --config but received cifar. Did you mean cifar10?',
    );
    expect(mistake(() => loadConfig({ config: './none.yaml' }))).toBe(
      'Expected a YAML file for --config but received ./none.yaml, which does not exist. Give the path of one.',
    );
  });

  test('in a saved config', () => {
    expect(mistake(() => parseConfig({ stage2: {} }, 'config.json'))).toContain(
      'Expected a known config key for config.json but received stage2.',
    );
  });
});

test('every key can be described', () => {
  for (const key of configKeys) expect(describeKey(key.split('.'))).toMatch(/^(a |one of|true|text)/);
});

describe('codes that are the points of a grid', () => {
  const fsq = ['stage1.bottleneck.kind=fsq', 'stage1.bottleneck.levels=[8,5,5]'];

  test('fsq: the product of the levels, or null for that', () => {
    for (const codes of ['200', 'null']) {
      expect(loadConfig({ config: 'defaults', set: [...fsq, `stage1.codes=${codes}`] }).stage1.codes).toBe(
        200,
      );
    }
    expect(
      loadConfig({ config: 'defaults', set: ['stage1.bottleneck.kind=fsq', 'stage1.codes=null'] }).stage1
        .codes,
    ).toBe(240);
    expect(mistake(() => loadConfig({ config: 'defaults', set: fsq }))).toBe(
      'Expected 200 (8 × 5 × 5) for stage1.codes but received 256. With fsq the levels make the codes: ' +
        'try --set stage1.codes=200, or other stage1.bottleneck.levels.',
    );
    const many = [...fsq.slice(0, 1), 'stage1.bottleneck.levels=[2000,2000]', 'stage1.codes=null'];
    expect(mistake(() => loadConfig({ config: 'defaults', set: many }))).toMatch(
      /^Expected levels with a product of at most 1048576 /,
    );
    expect(
      mistake(() =>
        loadConfig({ config: 'defaults', set: [...fsq.slice(0, 1), 'stage1.bottleneck.levels=[1]'] }),
      ),
    ).toMatch(/of at least 2 for each of stage1\.bottleneck\.levels but received 1\./);
  });

  test('only fsq makes them', () => {
    expect(mistake(() => loadConfig({ config: 'defaults', set: ['stage1.codes=null'] }))).toMatch(
      /^Expected a whole number above 0 for stage1\.codes but received null\./,
    );
  });

  test('lfq: a power of two', () => {
    expect(loadConfig({ config: 'defaults', set: ['stage1.bottleneck.kind=lfq'] }).stage1.codes).toBe(256);
    expect(
      mistake(() =>
        loadConfig({ config: 'defaults', set: ['stage1.bottleneck.kind=lfq', 'stage1.codes=1000'] }),
      ),
    ).toBe(
      'Expected a power of two from 2 to 1048576 for stage1.codes but received 1000. ' +
        'With lfq each bit is a number of the code: try --set stage1.codes=1024.',
    );
  });

  test('rotation needs a codebook', () => {
    const set = ['stage1.bottleneck.kind=lfq', 'stage1.bottleneck.gradient=rotation'];
    expect(mistake(() => loadConfig({ config: 'defaults', set }))).toBe(
      'Expected straight-through for stage1.bottleneck.gradient but received rotation. ' +
        'Rotation needs a codebook, which lfq has not: leave one of the two out.',
    );
  });
});

describe('a hierarchy', () => {
  const levels = (text: string, ...more: string[]) =>
    loadConfig({
      config: 'defaults',
      set: ['stage1.bottleneck.kind=hierarchy', `stage1.bottleneck.levels=${text}`, ...more],
    }).stage1;

  test('without levels of its own it has two plain ones, with the codes and width of stage1', () => {
    const { stage1 } = loadConfig({ config: 'defaults', set: ['stage1.bottleneck.kind=hierarchy'] });
    expect(levelsOf(stage1)).toMatchObject(
      ['top', 'bottom'].map((name) => ({
        name,
        stage1: { codes: 256, embed_dim: 32, bottleneck: { kind: 'ema' } },
      })),
    );
    const three = levels('[{ codes: 7 }, { kind: fsq }, { kind: lfq, codes: 8, embed_dim: 3 }]');
    expect(levelsOf(three).map(({ name, stage1 }) => [name, stage1.codes])).toEqual([
      ['top', 7],
      ['middle', 240],
      ['bottom', 8],
    ]);
  });

  test.each<[string, RegExp]>([
    [
      '[4, 4]',
      /^Expected two or three sections, the top level first, for stage1\.bottleneck\.levels but received \[4,4\]\./,
    ],
    ['[{}]', /^Expected two or three sections, .* but received 1\./],
    [
      '[{ kind: emma }, {}]',
      /^Expected one of nearest, ema, .* for kind in each of stage1\.bottleneck\.levels but received emma\./,
    ],
    [
      '[{ code: 8 }, {}]',
      /^Expected a known config key for .* but received stage1\.bottleneck\.levels\.0\.code\./,
    ],
    [
      '[{}, { kind: fsq, codes: 7 }]',
      /^Expected 240 \(8 × 6 × 5\) for codes of the bottom level in stage1\.bottleneck\.levels but received 7\. .* try codes: 240/,
    ],
    [
      '[{}, { kind: lfq, codes: 9 }]',
      /^Expected a power of two .* for codes of the bottom level .* try codes: 8\./,
    ],
    [
      'some',
      /^Expected a list of at most 64 whole numbers of at least 2 or a list of sections of keys for stage1\.bottleneck\.levels but received some\./,
    ],
  ])('one sentence for %s', (text, sentence) => {
    expect(mistake(() => levels(text))).toMatch(sentence);
  });

  test('what must fit it', () => {
    const plain = '[{}, {}, { codes: 9 }]';
    expect(mistake(() => levels(plain, 'data.size=24'))).toMatch(
      /^Expected a multiple of 16 for data\.size but received 24\. The grid of codes is halved between the 3 levels /,
    );
    expect(mistake(() => levels(plain, 'sample.top_k=300'))).toMatch(
      /^Expected at most 256, the codes of the largest level, for sample\.top_k but received 300\./,
    );
    expect(mistake(() => levels(plain, 'stage1.accumulate=2'))).toMatch(
      /^Expected 1 for stage1\.accumulate /,
    );
    expect(
      mistake(() =>
        loadConfig({
          config: 'defaults',
          set: ['stage1.bottleneck.kind=fsq', 'stage1.bottleneck.levels=[{}, {}]'],
        }),
      ),
    ).toMatch(
      /^Expected whole numbers for stage1\.bottleneck\.levels but received the levels of a hierarchy\./,
    );
  });
});

test('the strided network halves the picture, and has no attention', () => {
  const strided = (set: string) =>
    mistake(() => loadConfig({ config: 'defaults', set: ['stage1.network=strided', set] }));
  expect(strided('stage1.ch_mult=[2]')).toMatch(
    /^Expected at least two levels for stage1\.ch_mult but received \[2\]\./,
  );
  expect(strided('stage1.attn_resolutions=[8]')).toMatch(
    /^Expected none for stage1\.attn_resolutions but received \[8\]\. The network strided has no attention/,
  );
  expect(loadConfig({ config: 'defaults', set: ['stage1.network=strided', 'stage1.ch=5'] }).stage1.ch).toBe(
    5,
  ); // no groups
});

/** Checkpoints as other trainers wrap them give the run that the published layout gives. */
import { writeSafetensors } from '../../src/checkpoint/safetensors.js';
import { main } from '../../src/cli/main.js';
import { openTensors } from '../../src/exchange/open.js';
import type { Written } from '../../src/exchange/torch-write.js';
import { unwrap } from '../../src/exchange/unwrap.js';
import { call } from '../support/streams.js';
import { contents, weightsOf } from './contents.js';
import { fixture, imported, temporaryFolder } from './fixtures.js';
import { type Tree, tensorsOf, writeNested } from './nested.js';

const folder = temporaryFolder('unwrap');

type Tensors = Record<string, Written>;

const renamed = (tensors: Tensors, to: (name: string) => string): Tensors =>
  Object.fromEntries(Object.entries(tensors).map(([name, t]) => [to(name), t]));

/** The same tensors with other numbers. */
const halved = (tensors: Tensors): Tensors =>
  Object.fromEntries(
    Object.entries(tensors).map(([name, { dtype, shape, data }]) => [
      name,
      { dtype, shape, data: data instanceof Float32Array ? data.map((v) => v / 2) : data },
    ]),
  );

const counter: Written = { dtype: 'I64', shape: [], data: BigInt64Array.of(5n) };
const decay: Written = { dtype: 'F32', shape: [], data: Float32Array.of(0.999) };
const lit = (tensors: Tensors): Tensors => ({
  'model_ema.decay': decay,
  'model_ema.num_updates': counter,
  ...renamed(tensors, (name) => `model_ema.${name.replaceAll('.', '')}`),
});
/** What Adam keeps has names too. */
const optimizer: Tree = { state: { weight: decay }, step: 3 };

const layouts: [what: string, wrap: (weights: Tensors, others: Tensors) => Tree, said: string][] = [
  ['{state_dict}', (w) => ({ global_step: 7, state_dict: w }), ''],
  ['bare', (w) => ({ ...w }), ''],
  ['{model, optimizer}', (w) => ({ model: w, optimizer, epoch: 3 }), 'model'],
  ['{model: {state_dict}}', (w) => ({ model: { state_dict: w } }), 'model, state_dict'],
  ['module.', (w) => renamed(w, (name) => `module.${name}`), 'module'],
  [
    '_orig_mod. of a part',
    (w) => renamed(w, (n) => n.replace('encoder.', 'encoder._orig_mod.')),
    '_orig_mod',
  ],
  [
    '{state_dict} of module._orig_mod.',
    (w) => ({ state_dict: renamed(w, (name) => `module._orig_mod.${name}`) }),
    'state_dict, module, _orig_mod',
  ],
  [
    '{state_dict} of model. beside its codebook',
    (w) => ({ state_dict: renamed(w, (name) => (name.startsWith('quantize.') ? name : `model.${name}`)) }),
    'state_dict, model',
  ],
  ['{ema}', (w) => ({ ema: w }), 'ema'],
  ['{ema, model}', (w, o) => ({ ema: w, model: o }), 'model, averages of ema in place of N of N tensors'],
  [
    '{model, ema: {shadow}}',
    (w, o) => ({ model: o, ema: { shadow: w } }),
    'model, averages of ema.shadow in place of N of N tensors',
  ],
  [
    'ema_model. beside online_model.',
    (w, o) => ({
      ...{ initted: counter, step: counter },
      ...renamed(o, (name) => `online_model.${name}`),
      ...renamed(w, (name) => `ema_model.${name}`),
    }),
    'online_model, averages of ema_model in place of N of N tensors',
  ],
  ['averages of swa_utils', (w) => ({ n_averaged: counter, ...renamed(w, (n) => `module.${n}`) }), 'module'],
  [
    'LitEma',
    (w, o) => ({ state_dict: { ...o, ...lit(w) } }),
    'averages of state_dict.model_ema in place of N of N tensors',
  ],
  [
    'LitEma under model.',
    (w, o) => renamed({ ...o, ...lit(w) }, (name) => `model.${name}`),
    'model, averages of model.model_ema in place of N of N tensors',
  ],
];

const original = fixture('gumbel.ckpt');

test.each(layouts)('%s', async (_, wrap, said) => {
  const tensors = await tensorsOf(original);
  const file = `${folder()}.pt`;
  await writeNested(file, wrap(tensors, halved(tensors)));
  const { unwrapped, close } = await openTensors(file);
  await close();
  const count = Object.keys(tensors).length;
  expect(unwrapped.join(', ')).toBe(said.replaceAll('N', `${count}`));
  expect(await contents(file)).toEqual(await contents(original));
});

test('import says so; safetensors too, with F64 rounded', async () => {
  const plain = await imported(folder(), 'gumbel.ckpt');
  const file = `${folder()}.safetensors`;
  const doubles = Object.entries(await tensorsOf(original)).map(([name, { dtype, shape, data }]) => [
    `module.${name}`,
    data instanceof Float32Array
      ? { dtype: 'F64', shape, data: Float64Array.from(data) }
      : { dtype, shape, data },
  ]);
  await writeSafetensors(file, Object.fromEntries(doubles));
  const run = folder();
  const { code, stderr } = await call(main, ['import', file, '--size', '16', '--run', run]);
  expect(stderr).toBe(`Unwrapped in ${file}: module.\n`);
  expect(code).toBe(0);
  expect(await weightsOf(run, 'stage1')).toEqual(await weightsOf(plain, 'stage1'));
});

test("LPIPS' heads", async () => {
  const file = `${folder()}.pt`;
  const heads = await tensorsOf(fixture('lpips.pth'));
  await writeNested(file, { model: renamed(heads, (name) => `module.${name}`) });
  expect(await contents(file)).toEqual(await contents(fixture('lpips.pth')));
});

test('averages of some weights replace those only, of another shape none', () => {
  const t = (tag: string, ...shape: number[]) => ({ shape, tag });
  const landmark = 'encoder.conv_in.weight';
  const { tensors, unwrapped } = unwrap([
    {
      keys: ['model'],
      tensors: new Map([
        [landmark, t('own', 2)],
        ['a', t('own', 1)],
        ['b', t('own', 3)],
      ]),
    },
    {
      keys: ['ema'],
      tensors: new Map([
        [landmark, t('ema', 2)],
        ['b', t('ema', 4)],
      ]),
    },
  ]);
  expect([...tensors].map(([name, { tag }]) => `${name} ${tag}`)).toEqual([
    `${landmark} ema`,
    'a own',
    'b own',
  ]);
  expect(unwrapped).toEqual(['model', 'averages of ema in place of 1 of 3 tensors']);
});

test('names that would become one stay as they are', () => {
  const tensors = new Map(['module.w', 'w'].map((name) => [name, { shape: [1] }]));
  expect([...unwrap([{ keys: [], tensors }]).tensors.keys()]).toEqual(['module.w', 'w']);
});

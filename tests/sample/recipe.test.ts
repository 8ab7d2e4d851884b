import { version } from '../../src/base/root.js';
import { encodePng } from '../../src/data/pictures.js';
import { withText } from '../../src/data/png-text.js';
import { differences, drawingIn, type Recipe, recipeIn, recipeText } from '../../src/sample/recipe.js';

const recipe: Recipe = {
  ...{ vqgen: version, command: 'sample', run: 'mine' },
  ...{ weights: { tokenizer: 'a'.repeat(64), prior: 'b'.repeat(64) }, device: 'cpu', size: '8x8', seed: 3 },
  settings: { temperature: 0.1, top_k: 5, decode_steps: 8, order: 'halton', revise: 0 },
  ...{ index: 2, class: 'Katze 猫' },
};
const png = await encodePng({ width: 1, height: 1, data: new Uint8Array(3) });
const read = (text: string) => recipeIn(withText(png, text), 'a.png');

test('it comes back as it was, and is ASCII', () => {
  expect(recipeText(recipe)).toMatch(/^[\x20-\x7e]+$/);
  expect(read(recipeText(recipe))).toEqual(recipe);
  expect(drawingIn(recipe)).toEqual({
    temperature: 0.1,
    topK: 5,
    decodeSteps: 8,
    order: 'halton',
    revise: 0,
  });
});

const given = 'Expected a PNG with the recipe that vqgen sample writes for --like but received a.png, ';
const other = `${given}whose recipe is another than this version, ${version}, writes`;

test.each([
  ['no JSON', '{"vqgen":', `${given}whose recipe is no JSON.`],
  ['too deep', '['.repeat(1e5), `${given}whose recipe is no JSON.`],
  ['something else', '[]', `${other}. It is damaged, or a later version of vqgen wrote it.`],
  ['a later option', recipeText({ ...recipe, hue: 3 } as Recipe), `${other}: Unrecognized key: "hue".`],
  ['a seed that is none', recipeText({ ...recipe, seed: -1 }), `${other} at seed.`],
  ['a long name', recipeText({ ...recipe, run: 'x'.repeat(2000) }), `${other} at run.`],
  ['passes without end', recipeText({ ...recipe, settings: { temperature: 1, decode_steps: 1e9 } }), other],
  ['a grid and a picture', recipeText({ ...recipe, images: 4 }), other],
])('%s is refused', (_, text, message) => {
  expect(() => read(text)).toThrow(message);
});

test('what differs, each in a sentence', () => {
  expect(differences(recipe, { ...recipe, run: 'copied' })).toEqual([]);
  const weights = { tokenizer: recipe.weights.tokenizer!, prior: 'c'.repeat(64) };
  const { class: _, ...unclassed } = recipe;
  expect(differences(recipe, { ...unclassed, vqgen: '9.0.0', weights, device: 'webgpu' })).toEqual([
    `Another version of vqgen: 9.0.0 here, ${version} in the picture.`,
    'Other weights of the prior: cccccccc here, bbbbbbbb in the picture.',
    'Another device: webgpu here, cpu in the picture.',
    'Another class: none here, Katze 猫 in the picture.',
  ]);
  expect(differences(recipe, { ...recipe, weights: { prior: 'b'.repeat(64) } })).toEqual([
    'Other weights of the tokenizer: none here, aaaaaaaa in the picture.',
  ]);
});

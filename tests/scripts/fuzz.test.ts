/** Some of the cases of `npm run test:fuzz`, and that it finds what it looks for. */
// @ts-expect-error: a script
import { parsers } from '../../scripts/fuzz/parsers.mjs';
// @ts-expect-error: a script
import { tryParser } from '../../scripts/fuzz/try.mjs';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

const source = (name: string) => import(`../../src/${name}.js`);
const all: readonly { readonly name: string }[] = parsers;

test.each(all.map((parser) => [parser.name, parser] as const))('%s', async (_, parser) => {
  const folder = await freshFolder();
  const { cases, fault } = await tryParser(parser, { load: source, folder, runs: 60, seed: 7, most: 20 });
  expect(fault || undefined).toBeUndefined();
  expect(cases).toBe(60);
});

test('a check that is forgotten is found', async () => {
  const parser = all.find(({ name }) => name === 'pickle');
  const options = { load: source, folder: await freshFolder(), runs: 200, seed: 7, planted: true };
  const { fault } = await tryParser(parser, options);
  expect(fault.error.message).toMatch(/^planted in place of: Expected a PyTorch file .*there is no object/);
});

/** What a training says where tokens tell something else than its config, or than it began with. */
import { runPaths } from '../../src/checkpoint/run.js';
import { loadModel } from '../../src/checkpoint/store.js';
import { parseConfig } from '../../src/config/layers.js';
import type { Config } from '../../src/config/schema.js';
import { checkBegun, chosenCondition } from '../../src/stage2-transformer/conditions.js';
import { recordCondition } from '../../src/tokenize/conditions/begun.js';
import type { ConditionRecord } from '../../src/tokenize/conditions/condition.js';
import { conditionRecord } from '../../src/tokenize/conditions/index.js';
import { namedTokenizer } from '../../src/tokenize/conditions/tokenizer.js';
import type { Tokens } from '../../src/tokenize/token-file.js';
import { inFolder } from '../support/editing.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { saveTokenizer, tinyConfig } from '../support/run.js';

let at: (name: string) => string;
beforeAll(async () => {
  at = inFolder(await freshFolder());
  for (const [seed, name] of ['first', 'second', 'run/condition'].entries())
    await saveTokenizer(at(name), tinyConfig({}, { pictures: 'depth' }), {
      seed: name === 'second' ? seed : 0,
    });
});
afterAll(removeFolders);

const told = (condition: object): Config => parseConfig(tinyConfig({ condition }), 'test');
const byMaps = (tokenizer: string) => told({ kind: 'maps', maps: at('maps'), tokenizer: at(tokenizer) });
const tokens = (condition?: ConditionRecord) => {
  const split = { condition } as Tokens;
  return { train: split, val: split };
};
const recordOf = async (name: string) =>
  conditionRecord(byMaps(name), { tokenizer: await namedTokenizer(at(name)) })!;

test('codes of another tokenizer than the config names; the way there names all keys', async () => {
  const run = at('run');
  const record = await recordOf('first');
  const of = (config: Config, begun = false) => chosenCondition(run, tokens(record), { config, begun });
  expect(await of(byMaps('first'))).toEqual(record);
  expect(await of(byMaps('gone'))).toEqual(record); // By the run's copy.
  const [a, b] = await Promise.all(['first', 'second'].map((name) => loadModel(at(name), 'stage1')));
  await expect(of(byMaps('second'))).rejects.toThrow(
    `Expected tokens that tell of maps, 2 × 2 codes by the tokenizer ${b!.sha256.slice(0, 8)}, as prior.condition says, for ${run}/tokens/train.safetensors but received maps, 2 × 2 codes by the tokenizer ${a!.sha256.slice(0, 8)}. Next: vqgen tokenize --run ${run} --set prior.condition.kind=maps --set prior.condition.tokenizer=${at('second')} --set prior.condition.maps=${at('maps')}`,
  );
  // One that trained on does not stop a prior that was begun.
  expect(await of(byMaps('second'), true)).toEqual(record);
  await expect(
    chosenCondition(at('bare'), tokens(record), { config: byMaps('gone'), begun: true }),
  ).rejects.toThrow(
    /^Expected the tokenizer by which the prior is told of its pictures for .*bare\/condition but received none\. Next: vqgen tokenize /,
  );
});

test('one more photograph changes nothing; other colours do, and are named', async () => {
  const config = told({ kind: 'maps', maps: at('maps') });
  const of = (...colours: [string, number][]) =>
    conditionRecord(config, { labels: colours.map(([colour, share]) => ({ colour, share })) });
  const run = at('colours');
  await recordCondition(run, of(['#ff0000', 0.5], ['#0000ff', 0.5]));
  expect(() => checkBegun(run, of(['#ff0000', 0.6], ['#0000ff', 0.4]))).not.toThrow();
  expect(() => checkBegun(run, of(['#0000ff', 0.6], ['#ff0000', 0.4]))).toThrow(
    `Expected a prior that is told of maps, 2 × 2 codes of 2 colours, of which number 1 is #0000ff for --run but received ${run}, whose prior was begun with maps, 2 × 2 codes of 2 colours, of which number 1 is #ff0000. Train another prior: remove ${runPaths(run).prior}, then`,
  );
  expect(() => checkBegun(run, undefined)).toThrow(/^Expected a prior that is told of nothing for --run/);
});

test('an imported prior, which has no code for nothing told, goes on with tokens like it', async () => {
  const run = at('imported');
  const record = await recordOf('first');
  const began = { ...record, grid: { ...record.grid, vocab: record.grid.vocab - 1 } };
  await recordCondition(run, began);
  const of = (condition: ConditionRecord) =>
    chosenCondition(run, tokens(condition), { config: byMaps('first'), begun: false });
  expect(await of(began)).toEqual(began);
  await expect(of(record)).rejects.toThrow(/, and no code for nothing told, as prior\.condition says, /);
});

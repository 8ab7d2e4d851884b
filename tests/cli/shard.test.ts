import { readShard, shardOf } from '../../src/cli/shard.js';

const slurm = (id: number, count: number, min: number, max = min + count - 1) => ({
  SLURM_ARRAY_TASK_ID: `${id}`,
  SLURM_ARRAY_TASK_COUNT: `${count}`,
  SLURM_ARRAY_TASK_MIN: `${min}`,
  SLURM_ARRAY_TASK_MAX: `${max}`,
});

test.each(['3', '0/8', '9/8', '3/8/1', 'a/b', '1/0', '-1/8', '1.5/8', ''])(
  '--shard %s is refused',
  (given) => {
    expect(() => readShard(given, '--shard')).toThrow(/Expected I\/N, .* For example: --shard 3\/8/);
  },
);

test('--shard says which, whatever the environment; 1/1 is all of it', () => {
  expect(readShard('3/8', '--shard')).toEqual({ index: 3, count: 8 });
  const shard = { index: 3, count: 8 };
  expect(shardOf({ shard }, slurm(1, 2, 0))).toEqual(shard);
  expect(shardOf({ shard, shards: 8 }, {})).toEqual(shard);
  expect(shardOf({ shard: { index: 1, count: 1 } }, slurm(2, 5, 1))).toBeUndefined();
  expect(shardOf({ shard: { index: 1, count: 1 } }, { JOB_COMPLETION_INDEX: '4' })).toBeUndefined();
  expect(shardOf({}, {})).toBeUndefined();
  expect(() => shardOf({ shard, shards: 4 }, {})).toThrow('Expected 8, as --shard says, for --shards');
});

test('a Slurm array says it, from whatever it counts', () => {
  expect(shardOf({}, slurm(0, 4, 0))).toEqual({ index: 1, count: 4 });
  expect(shardOf({}, slurm(4, 4, 1))).toEqual({ index: 4, count: 4 });
  expect(shardOf({ shards: 3 }, slurm(12, 3, 10))).toEqual({ index: 3, count: 3 });
  expect(shardOf({}, slurm(0, 1, 0))).toBeUndefined();
  const { SLURM_ARRAY_TASK_MAX: _, ...withoutMax } = slurm(6, 3, 5);
  expect(shardOf({}, withoutMax)).toEqual({ index: 2, count: 3 });
});

test.each([
  ['gaps', slurm(3, 3, 1, 7)],
  ['steps', slurm(4, 5, 0, 8)],
  ['a task beyond', slurm(9, 3, 1)],
  ['no number of tasks', { SLURM_ARRAY_TASK_ID: '3' }],
])('an array with %s is refused in one sentence, with what to say', (_, env) => {
  expect(() => shardOf({}, env)).toThrow(
    /^Expected an array without gaps or steps, such as --array=1-8, for SLURM_ARRAY_TASK_ID but .* --shard I\/N\. --shard 1\/1 does all/,
  );
});

test('one task alone of a later number may be one of an array again: that is to be said', () => {
  expect(() => shardOf({}, slurm(3, 1, 3))).toThrow(/task 3 of 1 from 3, which may be .* say which it is/);
  expect(() => shardOf({ shards: 8 }, slurm(1, 4, 1))).toThrow(
    'Expected 4, the tasks of the Slurm array, for --shards but received 8. Or say --shard I/8.',
  );
});

test('a Kubernetes job says its index, from 0, and --shards how many', () => {
  expect(shardOf({ shards: 8 }, { JOB_COMPLETION_INDEX: '0' })).toEqual({ index: 1, count: 8 });
  expect(shardOf({ shards: 8 }, { JOB_COMPLETION_INDEX: '7' })).toEqual({ index: 8, count: 8 });
  expect(() => shardOf({ shards: 8 }, { JOB_COMPLETION_INDEX: '8' })).toThrow('which counts from 0');
  expect(() => shardOf({}, { JOB_COMPLETION_INDEX: '3' })).toThrow(/Expected --shards N, .* --shard 1\/1/);
  expect(() => shardOf({ shards: 8 }, {})).toThrow(/Expected the number of this one .* received 8 alone/);
});

test('a merge is of all of them, wherever it runs', () => {
  expect(shardOf({ merge: true, shards: 8 }, slurm(3, 8, 1))).toBeUndefined();
  expect(() => shardOf({ merge: true, shard: { index: 1, count: 2 } }, {})).toThrow(
    'Expected one of the two for --merge but received --shard 1/2 too.',
  );
});

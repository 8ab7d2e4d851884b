/** Which part of a work this process does: what `--shard` says, or the job array that it runs in. */
import { expected } from '../base/errors.js';
import type { Shard } from '../base/shard.js';

export interface ShardFlags {
  readonly shard?: Shard;
  readonly shards?: number;
  readonly merge?: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** `--shard` has it: 3/8. */
export function readShard(given: string, flag: string): Shard {
  const [, index = '', count = ''] = /^(\d{1,6})\/(\d{1,6})$/.exec(given) ?? [];
  const shard = { index: Number(index), count: Number(count) };
  if (shard.index >= 1 && shard.index <= shard.count) return shard;
  throw expected('I/N, the I-th of N from 1,', flag, given, `For example: ${flag} 3/8`);
}

const whole = '--shard 1/1 does all of it here.';

/**
 * @returns undefined where this process does all of it
 * @throws UserError for options that say two things, and an environment that does not tell the part
 */
export function shardOf({ shard, shards, merge }: ShardFlags, env: Environment): Shard | undefined {
  if (merge) {
    if (shard) throw expected('one of the two', '--merge', `--shard ${shard.index}/${shard.count} too`);
    return undefined;
  }
  if (shard) {
    if (shards !== undefined && shards !== shard.count)
      throw expected(`${shard.count}, as --shard says,`, '--shards', shards, 'Leave it out.');
    return several(shard);
  }
  const found = ofSlurm(env, shards) ?? ofKubernetes(env, shards);
  if (found || shards === undefined) return found && several(found);
  throw expected(
    'the number of this one among them',
    '--shards',
    `${shards} alone`,
    'It goes with JOB_COMPLETION_INDEX of a Kubernetes job, or with --merge; by hand: --shard 1/N, --shard 2/N, …',
  );
}

const several = (shard: Shard): Shard | undefined => (shard.count === 1 ? undefined : shard);

const numberIn = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;

function ofSlurm(env: Environment, shards: number | undefined): Shard | undefined {
  const id = numberIn(env.SLURM_ARRAY_TASK_ID);
  if (id === undefined) return undefined;
  const [count, min] = [numberIn(env.SLURM_ARRAY_TASK_COUNT), numberIn(env.SLURM_ARRAY_TASK_MIN)];
  const said = `task ${id} of ${env.SLURM_ARRAY_TASK_COUNT} from ${env.SLURM_ARRAY_TASK_MIN}`;
  const max = numberIn(env.SLURM_ARRAY_TASK_MAX) ?? (min ?? 0) + (count ?? 0) - 1;
  if (count === undefined || min === undefined || id < min || id > max || max - min + 1 !== count)
    throw expected(
      'an array without gaps or steps, such as --array=1-8,',
      'SLURM_ARRAY_TASK_ID',
      `${said} up to ${env.SLURM_ARRAY_TASK_MAX}`,
      `By hand: --shard I/N. ${whole}`,
    );
  if (shards !== undefined && shards !== count)
    throw expected(
      `${count}, the tasks of the Slurm array,`,
      '--shards',
      shards,
      `Or say --shard I/${shards}.`,
    );
  if (count === 1 && id > 1)
    throw expected(
      'an array of several tasks',
      'SLURM_ARRAY_TASK_ID',
      `${said}, which may be one task of an array run again`,
      `Then say which it is: --shard I/N. ${whole}`,
    );
  return { index: id - min + 1, count };
}

function ofKubernetes(env: Environment, shards: number | undefined): Shard | undefined {
  const index = numberIn(env.JOB_COMPLETION_INDEX);
  if (index === undefined) return undefined;
  if (shards === undefined)
    throw expected(
      '--shards N, the completions of the job,',
      'JOB_COMPLETION_INDEX',
      `${index} without it`,
      `The job does not say how many there are. ${whole}`,
    );
  if (index < shards) return { index: index + 1, count: shards };
  throw expected(
    'as many as the completions of the job',
    '--shards',
    `${shards} with JOB_COMPLETION_INDEX ${index}, which counts from 0`,
  );
}

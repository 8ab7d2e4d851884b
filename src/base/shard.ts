/** One of several processes that do a work together, each a part of it. */

export interface Shard {
  /** 1 … `count` */
  readonly index: number;
  readonly count: number;
}

/** `3/8`, as `--shard` takes it. */
export const shardText = ({ index, count }: Shard): string => `${index}/${count}`;

/** From and up to which of the things, the second not included. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/**
 * The shard's own of `total` things: ranges of all shards, one after another, are all of them. Each begins with a
 * batch, so that every batch is whole in one shard and is made of what it is made of in a single process. Where there
 * are fewer batches than shards, some have nothing.
 *
 * @param batch things of a batch
 */
export function rangeOf({ index, count }: Shard, total: number, batch: number): Range {
  const batches = Math.ceil(total / batch);
  const begin = (shard: number) => Math.min(total, Math.floor((shard * batches) / count) * batch);
  return { from: begin(index - 1), to: begin(index) };
}

/** `vqgen sample` by several processes: each draws its own pictures, under the numbers that they have among all. */
import { expected } from '../base/errors.js';
import { rangeOf, type Shard, shardText } from '../base/shard.js';
import { float32 } from '../base/tensor.js';
import { writePng } from '../data/pictures.js';
import { countOf, draw } from './draw.js';
import { checkSamples, obstacleInSamples } from './out.js';
import { checkNumber, type SampleOptions } from './sample.js';
import { openSource } from './sources.js';
import { filesOf, pictureFinder } from './there.js';

export interface SampleShardSummary {
  /** `3/8` */
  readonly shard: string;
  /** Pictures of the shard. */
  readonly images: number;
  /** How many of them were there already. */
  readonly already: number;
  readonly folder: string;
  readonly seed: number;
  readonly seconds: number;
  readonly tokens_per_second: number;
}

/**
 * Batches of which every picture is there are passed over.
 *
 * @throws UserError as `sample`, and for a grid, which is made of all pictures
 */
export async function sampleShard(o: SampleOptions & { readonly shard: Shard }): Promise<SampleShardSummary> {
  const { run, shard, reporter } = o;
  checkNumber(o.n);
  if (o.out !== undefined) {
    const next = 'The grid is made of all: --merge. --shard 1/1 draws all here.';
    throw expected('nothing', '--out', `${o.out} with --shard ${shardText(shard)}`, next);
  }
  checkSamples(run);
  const obstacle = obstacleInSamples(run);
  if (obstacle) throw expected('a run that takes pictures', '--run', `${run}, ${obstacle}`);
  const started = performance.now();
  const source = await (o.open ?? openSource)(o);
  try {
    const { seed, size, tall = size, tokens } = source;
    const { folder, fileOf } = filesOf(source, o);
    const find = pictureFinder(source, o);
    const total = countOf(source, o);
    const part = rangeOf(shard, total, source.batch);
    const images = part.to - part.from;
    const which = images > 0 ? `pictures ${part.from + 1} to ${part.to}` : 'no picture';
    reporter.note(`Shard ${shardText(shard)}: ${which} of ${total}`);
    const areThere = async (numbers: readonly number[]): Promise<boolean> => {
      for (const number of numbers) if (!(await find(number))) return false;
      return true;
    };
    let [drawn, drawing] = [0, 0];
    for await (const { pictures, seconds, unfinished } of draw(source, { ...o, part, areThere })) {
      if (unfinished) continue; // and the signal's reason is thrown
      for (const { number, image, recipe } of pictures)
        await writePng(fileOf(number), float32([tall, size, 3], image), recipe);
      drawn += pictures.length;
      drawing += seconds;
    }
    if (drawn === 0) reporter.note(`Part ${shardText(shard)} is complete already: ${folder}`);
    return {
      ...{ shard: shardText(shard), images, already: images - drawn, folder, seed },
      seconds: (performance.now() - started) / 1000,
      tokens_per_second: drawing > 0 ? (drawn * tokens) / drawing : 0,
    };
  } finally {
    await source.dispose();
  }
}

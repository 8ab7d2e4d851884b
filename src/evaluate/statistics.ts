/**
 * Reference statistics in a file: what a Fréchet distance needs of a set of images, to be compared with again without
 * them.
 */
import { existsSync } from 'node:fs';
import { expected } from '../base/errors.js';
import { finite } from '../checkpoint/finite.js';
import { openSafetensors, writeSafetensors } from '../checkpoint/safetensors.js';
import type { FeatureSpace } from './features.js';
import type { Gaussian } from './frechet.js';

export interface Statistics extends Gaussian {
  /** Name of the feature space. */
  readonly features: string;
  /** SHA-256 of the evaluation crops, 8-bit RGB, in order: equal for equal pictures wherever they lie. */
  readonly digest: string;
}

/** Float64 `mean` [F] and `covariance` [F, F]; count, feature space and digest as metadata. */
export async function writeStatistics(file: string, statistics: Statistics): Promise<void> {
  const { count, mean, covariance, features, digest } = statistics;
  const width = mean.length;
  await writeSafetensors(
    file,
    {
      mean: { dtype: 'F64', shape: [width], data: mean },
      covariance: { dtype: 'F64', shape: [width, width], data: covariance },
    },
    { count: `${count}`, features, digest },
  );
}

/**
 * @param space must be the one that they were taken in
 * @throws UserError for a file that is missing, holds something else, or is of another feature space
 */
export async function readStatistics(
  file: string,
  space: Pick<FeatureSpace, 'name' | 'width'>,
): Promise<Statistics> {
  if (!existsSync(file)) {
    throw expected(
      'statistics that --save-stats wrote',
      '--stats',
      `${file}, which does not exist`,
      `To make it: vqgen evaluate --data photos/ --save-stats ${file}`,
    );
  }
  const opened = await openSafetensors(file);
  try {
    const { count, features, digest } = opened.metadata;
    const { mean, covariance } = opened.entries;
    const counted = Number.isSafeInteger(Number(count)) && Number(count) > 1;
    if (!counted || !features || !digest || mean?.dtype !== 'F64' || covariance?.dtype !== 'F64') {
      throw expected('statistics that --save-stats wrote', '--stats', `${file}, which holds others`);
    }
    if (features !== space.name || mean.shape.join() !== `${space.width}`) {
      throw expected(
        `statistics of the features ${space.name}`,
        '--stats',
        `${file}, which has those of ${features}`,
        'Numbers of different features cannot be compared: save them again with --save-stats.',
      );
    }
    if (covariance.shape.join() !== `${space.width},${space.width}`)
      throw expected('statistics that --save-stats wrote', '--stats', `${file}, which is damaged`);
    const numbers = async (name: 'mean' | 'covariance'): Promise<Float64Array> => {
      const { data } = await opened.read(name);
      finite({ dtype: 'F64', shape: [data.length], data }, name, file);
      return data as Float64Array;
    };
    const [means, squares] = [await numbers('mean'), await numbers('covariance')];
    return { count: Number(count), features, digest, mean: means, covariance: squares };
  } finally {
    await opened.close();
  }
}

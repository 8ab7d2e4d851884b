/**
 * Which class each image is drawn of: by name, in turn, or in given proportions. An image's class depends on its
 * number alone.
 */
import { expected } from '../base/errors.js';
import { must, pairs } from '../base/lookup.js';
import { nearest } from '../base/nearest.js';
import { listed } from '../stage2-transformer/model.js';

/** The class of image number `i`, an index into the prior's classes. */
export type ClassOf = (image: number) => number;

/**
 * The classes of these names, indices into those that the prior knows; all where none is named.
 *
 * @throws UserError for a name that the prior does not know
 */
export function chosenClasses(names: readonly string[] | undefined, known: readonly string[]): number[] {
  return (names ?? known).map((name) => {
    const index = known.indexOf(name);
    if (index >= 0) return index;
    if (known.length === 0) {
      throw expected(
        'no class',
        '--class',
        name,
        'The run was trained without classes: those are subfolders of the training images, two or more.',
      );
    }
    const near = nearest(name, known);
    throw expected(`one of ${listed(known)}`, '--class', name, near ? `Did you mean ${near}?` : '');
  });
}

/** One after another, again and again. */
export const inTurn =
  (classes: readonly number[]): ClassOf =>
  (image) =>
    must(classes[image % classes.length], 'class');

/**
 * However many images are drawn, each class has about its share of them: the next image is of the class that lags
 * behind most.
 */
export function inProportion(shares: readonly number[]): ClassOf {
  const total = shares.reduce((sum, share) => sum + share, 0);
  const drawn = shares.map(() => 0);
  const order: number[] = [];
  return (image) => {
    while (order.length <= image) {
      const lag = pairs(shares, drawn).map(([share, count]) => (share / total) * (order.length + 1) - count);
      const label = lag.indexOf(Math.max(...lag));
      drawn[label]!++;
      order.push(label);
    }
    return must(order[image], `class of image ${image}`);
  };
}

/** How the time is divided: every network has as much as any other, of what the works between them leave. */
import { sharesOf, type Work, type WorkKind } from './rooms.js';

/** Seconds that the page takes, and the end. */
const ending = 3;

/** What is known of how long works take that have no share. */
export interface Experience {
  /** Seconds of those that are done. */
  readonly taken: readonly { readonly kind: WorkKind; readonly seconds: number }[];
  /** Seconds of one of a kind of which none is done. */
  readonly guesses: Readonly<Record<'tokens' | 'exhibit', number>>;
}

/**
 * Seconds of a training, the first of the works that are left. What earlier ones left over is in it, and what they
 * took too much is taken off.
 *
 * @param left seconds of the budget; a share is never below 1 s
 */
export function shareOf(left: number, works: readonly Work[], experience: Experience): number {
  const others = works.filter((work) => sharesOf(work) === 0);
  const reserved = others.reduce((sum, { kind }) => sum + expectedOf(kind, experience), ending);
  const shares = works.reduce((sum, work) => sum + sharesOf(work), 0);
  const [first] = works;
  return first ? Math.max(1, ((left - reserved) * sharesOf(first)) / shares) : 0;
}

/**
 * Seconds after which a training ends wherever it is: on a machine that grows busy it would take the others' time, and
 * the last one has nobody's to take.
 */
export const mostFor = (share: number, { budget, last }: { budget: number; last: boolean }): number =>
  last ? share + budget / 50 : 1.3 * share;

/**
 * What a training is given to plan with, so that it takes its share: those before it took more or less than they were
 * given, by what a plan does not know of and how busy the machine is. Little evidence counts little: it stands beside
 * one training that took what it was given.
 *
 * @param done what earlier ones were given and took
 */
export function givenFor(
  share: number,
  done: readonly { readonly given: number; readonly seconds: number }[],
): number {
  const given = done.reduce((sum, work) => sum + work.given, share);
  const taken = done.reduce((sum, work) => sum + work.seconds, share);
  return share * within(0.5, given / taken, 1.15);
}

function expectedOf(kind: WorkKind, { taken, guesses }: Experience): number {
  const known = taken.filter((work) => work.kind === kind);
  if (known.length === 0) return kind === 'tokens' || kind === 'exhibit' ? guesses[kind] : 0;
  return known.reduce((sum, { seconds }) => sum + seconds, 0) / known.length;
}

/** How much is measured and drawn, and how much trained on, in so much time. */
export interface Extent {
  /** Unseen pictures that a room is measured on, and samples of it, at most. */
  readonly measured: number;
  /** Built-in pictures. */
  readonly drawn: number;
}

export const extentFor = (budget: number): Extent => ({
  measured: within(64, Math.round(budget / 9), 400),
  drawn: within(1000, Math.round(3 * budget), 8000),
});

/** @param extent of the museum. @param images in all */
export const guessesFor = ({ measured }: Extent, images: number): Experience['guesses'] => ({
  tokens: 3 + images / 150,
  exhibit: 4 + measured / 18,
});

/** Steps of a training's beginning in a share of so many seconds, where a config has `usual` for minutes. */
export const warmupIn = (seconds: number, usual: number): number =>
  within(2, Math.round((seconds / minutes) * usual), usual);

const minutes = 240;

const within = (least: number, value: number, most: number): number => Math.min(most, Math.max(least, value));

/** A mistake of the user's: one sentence, what to do next, exit code 2, no stack. */
export class UserError extends Error {
  override name = 'UserError';
}

/**
 * The one sentence for every user mistake.
 *
 * @param what what was expected, e.g. `a positive whole number`
 * @param where the option or path it was expected for, e.g. `--steps` or `stage1.ch`
 * @param received the value received, shown as JSON unless it is a number or a string of words of its own
 * @param next what to do now, a sentence
 */
export function expected(
  what: string,
  where: string,
  received: unknown,
  next = '',
  cause?: unknown,
): UserError {
  const plain = typeof received === 'string' || typeof received === 'number';
  const shown = clip(plain ? `${received}` : JSON.stringify(received));
  const sentence = `Expected ${clip(what)} for ${clip(where)} but received ${shown === '' ? "''" : shown}.`;
  return new UserError(next ? `${sentence} ${clip(next)}` : sentence, { cause });
}

const longestPart = 1000;

/** A sentence is for people, whatever a file holds. */
const clip = (text: string): string =>
  text.length > longestPart ? `${text.slice(0, longestPart)}… (${text.length} characters)` : text;

/** What the system says of a disk, a quota or a limit, and what to do. */
const hindrances: Readonly<Record<string, (place: string) => string>> = {
  ENOSPC: (place) => `No space is left for ${place} (ENOSPC). Free some there, or name another place.`,
  EDQUOT: (place) =>
    `The quota is used up for ${place} (EDQUOT). Remove what is yours there, or name another place.`,
  EFBIG: (place) =>
    `A file would become larger than the system allows for ${place} (EFBIG). Raise the limit (ulimit -f), or name a place on another file system.`,
  EROFS: (place) => `Nothing can be written to ${place}, which is read-only (EROFS). Name another place.`,
  EIO: (place) => `The disk failed at ${place} (EIO). See to it, or name another place.`,
  ESTALE: (place) => `The file system of ${place} is out of reach (ESTALE). Mount it again.`,
  EMFILE: (place) => `Too many files are open for ${place} (EMFILE). Raise the limit (ulimit -n).`,
  ENFILE: (place) => `Too many files are open for ${place} (ENFILE). End other programs.`,
};

/** What an error of the system says beside its message. */
interface OfSystem {
  readonly code?: string;
  readonly path?: string;
}

/** The sentence for what keeps the system from writing or reading at `place`; undefined for any other error. */
export function hindrance(error: unknown, place: string): string | undefined {
  const { code } = (error ?? {}) as OfSystem;
  return code === undefined ? undefined : hindrances[code]?.(place);
}

/** Makes an error of the system name `file`, where it names nothing: those of open files do not. */
export function naming<T>(error: T, file: string): T {
  const { code, path } = (error ?? {}) as OfSystem;
  return typeof code === 'string' && path === undefined
    ? (Object.assign(error as object, { path: file }) as T)
    : error;
}
/** @param made by a network whose weights are numbers, but none to compute with: `a picture`, `codes` */
export const notFinite = (made: string): UserError =>
  expected(
    'finite numbers',
    `${made} that a network made`,
    'NaN',
    'Its weights are too large to compute with: take an earlier checkpoint of that training.',
  );

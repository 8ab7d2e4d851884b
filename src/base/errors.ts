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

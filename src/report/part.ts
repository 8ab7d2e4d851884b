/** What a report shows of a run, or in a sentence why that is left out. */
import { UserError } from '../base/errors.js';
import { type Html, html } from './document.js';

export interface Missing {
  /** A sentence or two. */
  readonly missing: string;
}

export type Part<T> = T | Missing;

export const isMissing = <T extends object>(part: Part<T>): part is Missing => 'missing' in part;

/**
 * What a user could mend is no end of the report.
 *
 * @param what how the sentence begins: `Samples are left out`
 */
export async function attempted<T extends object>(
  what: string,
  work: () => Promise<Part<T>> | Part<T>,
): Promise<Part<T>> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { missing: `${what}. ${error.message}` };
  }
}

/** The part as `show` has it, or the sentence. */
export const shown = <T extends object>(part: Part<T>, show: (part: T) => Html): Html =>
  isMissing(part) ? html`<p class="missing">${part.missing}</p>` : show(part);

/** Rows of a name and a number for each of several things, as a table that scrolls where it is too wide. */
export function table(
  caption: string,
  head: readonly string[],
  rows: readonly (readonly (Html | string)[])[],
): Html {
  return html`<div class="wide"><table><caption>${caption}</caption>
<thead><tr>${head.map((name, i) => html`<th scope="col"${i > 0 ? numeric : none}>${name}</th>`)}</tr></thead>
<tbody>${rows.map(
    ([name = '', ...cells]) =>
      html`<tr><th scope="row">${name}</th>${cells.map((cell) => html`<td class="number">${cell}</td>`)}</tr>\n`,
  )}</tbody></table></div>`;
}

const numeric = html` class="number"`;
const none = html``;

/** What a download leaves where a file of weights should be. */
import { expected, type UserError } from '../base/errors.js';

/** As much of a file's beginning as `checkStandIn` looks at. */
export const standInBytes = 1024;

/**
 * @param head the first bytes of the file
 * @param what is expected in its place
 * @throws UserError for a pointer of Git LFS and for a web page
 */
export function checkStandIn(head: Uint8Array, what: string, file: string): void {
  const text = Buffer.from(head.subarray(0, standInBytes)).toString('latin1');
  const refuse = (received: string, next: string): UserError => expected(what, file, received, next);
  if (text.startsWith('version https://git-lfs.github.com/')) {
    const size = /^size (\d+)$/m.exec(text)?.[1];
    const of = size === undefined ? '' : ` of ${Number(size).toLocaleString('en')} bytes`;
    throw refuse(
      `a Git LFS pointer, which stands for the file${of}`,
      'Fetch the file itself: git lfs pull, or its download link.',
    );
  }
  if (/^(\xef\xbb\xbf)?\s*<(!doctype html|html|head|body|!--)/i.test(text)) {
    throw refuse('a web page (HTML)', 'The page was saved in place of the file: use its download link.');
  }
}

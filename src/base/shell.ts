/** As a shell takes it for one word, whatever it holds: for commands to copy. */
export const word = (text: string): string =>
  /^[\p{L}\p{N}@%+=:,./~\\_-]+$/u.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;

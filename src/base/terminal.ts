/**
 * The one place that writes to the terminal, or to what stands in its place. Lines hold words of others' making (names
 * of files and classes, configs, messages of libraries): what would move the cursor, begin a line or turn the direction
 * of reading around is shown, not done.
 */
import { closeSync, fstatSync, writeFileSync } from 'node:fs';
import { isatty } from 'node:tty';
import { format } from 'node:util';
import { SingleBar } from 'cli-progress';
import { naming } from './errors.js';

export type Stream = NodeJS.WritableStream & { isTTY?: boolean; columns?: number };

export interface Streams {
  readonly stdout: Stream;
  readonly stderr: Stream;
}

/** Controls (C0, DEL, C1), separators of lines and paragraphs, marks and overrides of direction. */
const acting = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

const short: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

const hex = (char: string, digits: number): string => char.charCodeAt(0).toString(16).padStart(digits, '0');

const shown = (char: string): string =>
  short[char] ?? (char < '\u0100' ? `\\x${hex(char, 2)}` : `\\u${hex(char, 4)}`);

/** The text as one line in which nothing acts: `\n`, `\x1b` and `\u202e` stand for such characters. */
export const visible = (text: string): string => text.replace(acting, shown);

const esc = '\x1b';

/** Ends of lines, and the cursor's codes of a bar, which a guarded process may have. */
const ownCodes = new RegExp(`(\n|\r|${esc}[78]|${esc}\\[\\d*[GK])`);

/**
 * Says a line, without a word of whether it arrived: no work ends for its words.
 *
 * @param o.bar whether a bar stands in the line, which then goes on one line below
 */
export function sayLine(stream: Stream, line: string, o: { bar?: boolean } = {}): void {
  // The bar returns to the saved place (ESC 7) when it stops.
  say(stream, o.bar ? `\r${esc}[K${visible(line)}\n${esc}7` : `${visible(line)}\n`);
}

/** Passes on what a guarded process says: its lines and its bar's codes, whoever in it wrote them. */
export function passOn(stream: Stream, text: string): void {
  const parts = text.split(ownCodes);
  say(stream, parts.map((part, i) => (i % 2 === 1 ? part : visible(part))).join(''));
}

/** Lines as the outcome; resolves when they are out. Whoever reads a pipe may leave early: that is no failure. */
export const writeLines = (stream: Stream, lines: readonly string[]): Promise<void> =>
  write(stream, lines.map((line) => `${visible(line)}\n`).join(''));

/** One line of JSON, of which a reader gets back what went in. */
export const writeJson = (stream: Stream, value: unknown): Promise<void> =>
  write(stream, `${JSON.stringify(value).replace(acting, (char) => `\\u${hex(char, 4)}`)}\n`);

/** Libraries that talk do so on `stream`, line by line, until `restore`. */
export function keepLibrariesIn(stream: Stream): { restore(): void } {
  const { log, info, debug, warn, error } = console;
  const line = (...words: unknown[]): void => {
    for (const part of format(...words).split('\n')) sayLine(stream, part);
  };
  Object.assign(console, { log: line, info: line, debug: line, warn: line, error: line });
  return { restore: () => Object.assign(console, { log, info, debug, warn, error }) };
}

const barWidth = 24;

/** A bar in the terminal's last line; `text` is all that the line says, the bar's own characters included. */
export function openBar(
  stream: Stream,
  total: number,
  start: number,
  text: (bar: string) => string,
): SingleBar {
  const bar = new SingleBar({
    stream,
    fps: 4,
    forceRedraw: true,
    linewrap: true, // The line is cut instead: a process that is ended leaves the terminal as it was.
    gracefulExit: false, // Signals are heard in cli/signals.ts alone.
    format: (_, { progress }) => {
      const filled = Math.floor(progress * barWidth);
      return visible(text('█'.repeat(filled) + '░'.repeat(barWidth - filled)));
    },
  });
  bar.start(total, start);
  return bar;
}

/** Node aborts where it cannot set back a terminal that closed meanwhile; one that it has no hold of it leaves alone. */
export function outliveTerminal(): void {
  const terminals = [0, 1, 2].filter(isatty);
  process.on('exit', () => {
    for (const fd of terminals) if (!isatty(fd)) closeSync(fd);
  });
}

function say(stream: Stream, text: string): void {
  try {
    stream.write(text);
  } catch {
    // A terminal that is gone, a full disk: Node tells of some at once, of others by an event.
  }
}

/** What an error of stdout names as its place. */
export const outcomePlace = 'stdout, where the outcome goes';

/** @throws the system's error where the text cannot be written, as on a full disk */
async function write(stream: Stream, text: string): Promise<void> {
  try {
    const { fd } = stream as { fd?: number };
    if (fd !== undefined && fstatSync(fd).isFile()) {
      writeFileSync(fd, text); // Node's stream leaves a rest that did not fit unwritten, and does not tell.
      return;
    }
    await new Promise<void>((resolve, reject) => {
      stream.write(text, (error) => (error ? reject(error) : resolve()));
    });
  } catch (error) {
    if (!nobodyReads(stream, error)) throw naming(error, outcomePlace);
  }
}

function nobodyReads(stream: Stream, error: unknown): boolean {
  const { errored, isTTY } = stream as Partial<NodeJS.WriteStream>;
  const { code } = (errored ?? error) as NodeJS.ErrnoException;
  return code === 'EPIPE' || (code === 'EIO' && isTTY === true);
}

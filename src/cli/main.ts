/**
 * The command line: finds the command, reads its options, runs it, prints its outcome.
 *
 * Exit codes: 0 done; 1 failed; 2 the user's mistake, told in one sentence on stderr; 130 stopped by Ctrl-C, 143 by
 * SIGTERM, 129 by SIGHUP.
 */
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import yargs from 'yargs';
import { expected, UserError } from '../base/errors.js';
import { nearest } from '../base/nearest.js';
import { createReporter } from '../base/progress.js';
import { markOutputs, ownRun, runAt } from '../checkpoint/shipped.js';
import { type Command, commands, commonFlags } from './commands.js';
import { type FlagName, flags, readFlags } from './flags.js';
import { commandHelp, overview } from './help.js';
import type { Outcome, Streams } from './outcome.js';
import { type Ending, exitCodeOf, listenForEndings } from './signals.js';

type Arguments = Record<string, unknown> & { _: (string | number)[] };

export async function main(argv: readonly string[], streams: Streams = process): Promise<number> {
  const say = (text: string): Promise<void> => write(streams.stdout, `${text}\n`);
  // What goes to stdout is awaited; of stderr nothing can be said, and no training ends for its words.
  for (const stream of [streams.stdout, streams.stderr]) stream.on('error', () => {});
  try {
    const { command, given } = parse(argv);
    if (given.version) await say(version());
    else if (given.help || argv.length === 0) await say(command ? commandHelp(command) : overview());
    else if (command) return await run(command, given, streams);
    else throw unknownCommand(given);
    return 0;
  } catch (error) {
    return report(error, streams);
  }
}

async function run(command: Command, given: Arguments, streams: Streams): Promise<number> {
  const words = given._.slice(command.name.split(' ').length).map(String);
  checkNames(command, given, words);
  const options = readFlags(given);
  if (options.run !== undefined) options.run = command.readsRun ? runAt(options.run) : ownRun(options.run);
  if (command.computes && streams === process) {
    const env = await (await import('../engine/index.js')).guardOf(options.device);
    const args = [...process.execArgv, ...process.argv.slice(1)];
    const trains = command.flags.includes('resume');
    if (env) return (await import('./guard.js')).guarded({ args, env, trains, stderr: process.stderr });
  }
  const reporter = createReporter({ stream: asTerminal(streams.stderr), quiet: options.quiet });
  const cores = os.availableParallelism();
  if (options.threads && options.threads > cores) {
    reporter.warn(`--threads ${options.threads} is more than the ${cores} cores here, which are used.`);
    options.threads = cores;
  }
  const interrupts = listenForInterrupts(command, () => reporter.close(), reporter.note);
  const console = keepStdoutClean();
  try {
    const outcome = await command.run({ flags: options, words, reporter, signal: interrupts.signal });
    reporter.close();
    await print(outcome, options.json ?? false, streams);
    if (options.run !== undefined) await markOutputs(options.run);
    return outcome.stopped ? interrupts.code() : 0;
  } catch (error) {
    reporter.close();
    if (!interrupts.signal.aborted || error instanceof UserError) throw error;
    streams.stderr.write('Stopped.\n');
    return interrupts.code();
  } finally {
    console.restore();
    interrupts.stop();
  }
}

function print({ summary, lines }: Outcome, json: boolean, { stdout }: Streams): Promise<void> {
  return write(stdout, `${json ? JSON.stringify(summary) : lines.join('\n')}\n`);
}

function report(thrown: unknown, { stderr }: Streams): number {
  const error = refusal(thrown) ?? thrown;
  const debug = Boolean(process.env.VQGEN_DEBUG);
  if (debug) stderr.write(`${thrown instanceof Error ? thrown.stack : thrown}\n`);
  if (error instanceof UserError) {
    if (!debug) stderr.write(`${error.message}\n`);
    return 2;
  }
  const message = error instanceof Error ? error.message : String(error);
  if (!debug) stderr.write(`vqgen failed: ${message}\nWith VQGEN_DEBUG=1 it also says where.\n`);
  return 1;
}

/** The system's refusal to read or write something, as a mistake that the user can mend. */
function refusal(error: unknown): UserError | undefined {
  const { code = '', path: file, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  if (file === undefined || !['EACCES', 'EPERM', 'EROFS'].includes(code)) return undefined;
  return expected(
    'the right to use it',
    file.endsWith('.partial') ? path.dirname(file) : file,
    `none (${code} at ${syscall})`,
    'See to its permissions, or name another place.',
  );
}

/**
 * The first signal asks a command that can to end by itself; any other command is ended, and so is one by a Ctrl-C
 * after that. A closing terminal and a system that shuts down may send theirs several times.
 */
function listenForInterrupts(command: Command, beforeExit: () => void, note: (line: string) => void) {
  const controller = new AbortController();
  let first: Ending = 'SIGINT';
  const { stop } = listenForEndings((ending) => {
    const { aborted } = controller.signal;
    if (!command.endsItself || (aborted && ending === 'SIGINT')) {
      beforeExit();
      process.exit(exitCodeOf(ending));
    }
    if (aborted) return;
    first = ending;
    controller.abort();
    note('Stopping; a training is saved first. Ctrl-C again ends at once.');
  });
  return { signal: controller.signal, code: () => exitCodeOf(first), stop };
}

/**
 * Resolves when the text is out. Whoever reads a pipe may leave early (`| head -1`), and a terminal may be closed:
 * that is no failure.
 *
 * @throws Error for any other, such as a full disk
 */
function write(stream: Streams['stdout'], text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => {
      if (!error || nobodyReads(stream, error)) resolve();
      else reject(new Error(`its output cannot be written to stdout (${error.message}).`));
    });
  });
}

function nobodyReads(stream: Streams['stdout'], error: Error): boolean {
  const { errored, isTTY } = stream as Partial<NodeJS.WriteStream>;
  const { code } = (errored ?? error) as NodeJS.ErrnoException;
  return code === 'EPIPE' || (code === 'EIO' && isTTY === true);
}

/** A guarded process writes to a pipe, behind which there may be a terminal. */
function asTerminal(stream: Streams['stderr']): Streams['stderr'] {
  const columns = process.env.VQGEN_TERMINAL;
  return columns ? Object.assign(stream, { isTTY: true, columns: Number(columns) }) : stream;
}

/** Libraries that talk do so on stderr: stdout belongs to the outcome. */
function keepStdoutClean() {
  const { log, info, debug } = console;
  Object.assign(console, { log: console.error, info: console.error, debug: console.error });
  return { restore: () => Object.assign(console, { log, info, debug }) };
}

const parsing = {
  'boolean-negation': false,
  'camel-case-expansion': false,
  'dot-notation': false,
  'parse-numbers': false,
  'parse-positional-numbers': false,
  'short-option-groups': false,
};

const forYargs = {
  value: { nargs: 1 },
  each: { nargs: 1 },
  switch: { boolean: true },
} as const;

function parse(argv: readonly string[]): { command?: Command; given: Arguments } {
  const parser = yargs([...argv])
    .locale('en')
    .help(false)
    .version(false)
    .exitProcess(false)
    .parserConfiguration(parsing)
    .fail((message, error) => {
      throw misuse(message) ?? error;
    })
    .option('version', { boolean: true });
  for (const [name, { kind }] of Object.entries(flags)) parser.option(name, forYargs[kind]);
  const given = parser.parseSync() as Arguments;
  const command = commands.find(({ name }) => name.split(' ').every((word, i) => word === given._[i]));
  return { command, given };
}

/** @throws UserError for an option or a word that the command does not take */
function checkNames(
  { name, flags: own, words }: Command,
  given: Arguments,
  present: readonly string[],
): void {
  const known = [...own, ...commonFlags];
  const unknown = optionsOf(given).find((key) => !known.includes(key as FlagName));
  if (unknown !== undefined) throw unknownOption(unknown, `vqgen ${name}`, known);
  const most = words?.most ?? 0;
  if (present.length > most) {
    const what = words ? `${words.usage} only` : 'options only';
    throw expected(what, `vqgen ${name}`, present[most], `vqgen ${name} --help shows how it is used.`);
  }
}

const optionsOf = (given: Arguments): string[] =>
  Object.keys(given).filter((key) => key !== '_' && key !== '$0');

function unknownOption(key: string, where: string, known: readonly string[]): UserError {
  const near = nearest(key, known);
  return expected(
    'a known option',
    where,
    key.length === 1 ? `-${key}` : `--${key}`,
    near ? `Did you mean --${near}?` : `${where} --help lists them.`,
  );
}

function unknownCommand(given: Arguments): UserError {
  const names = commands.map(({ name }) => name);
  const words = given._.join(' ');
  const unknown = optionsOf(given).find((key) => !(key in flags));
  if (words === '' && unknown !== undefined) return unknownOption(unknown, 'vqgen', ['help', 'version']);
  const near = nearest(words, names) ?? names.find((name) => name.split(' ')[0] === given._[0]);
  return expected(
    `one of ${names.join(', ')}`,
    'the command',
    words === '' ? 'none' : words,
    near ? `Did you mean vqgen ${near}?` : 'vqgen --help explains them.',
  );
}

/** yargs' own complaints: only a missing value can be left. */
function misuse(message: string): UserError | undefined {
  const flag = /Not enough arguments following: (.+)/.exec(message)?.[1];
  return flag === undefined ? undefined : expected('a value', `--${flag}`, 'nothing');
}

function version(): string {
  return createRequire(import.meta.url)('../../package.json').version;
}

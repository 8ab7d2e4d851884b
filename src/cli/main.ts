/**
 * The command line: finds the command, reads its options, runs it, prints its outcome.
 *
 * Exit codes: 0 done; 1 failed; 2 the user's mistake, told in one sentence on stderr; 130 stopped by Ctrl-C, 143 by
 * SIGTERM, 129 by SIGHUP.
 */
import os from 'node:os';
import path from 'node:path';
import parser from 'yargs-parser';
import { expected, hindrance, UserError } from '../base/errors.js';
import { nearest } from '../base/nearest.js';
import { createReporter, type StreamReporter } from '../base/progress.js';
import { version } from '../base/root.js';
import {
  keepLibrariesIn,
  outcomePlace,
  outliveTerminal,
  type Stream,
  type Streams,
  sayLine,
  writeJson,
  writeLines,
} from '../base/terminal.js';
import { markOutputs, ownRun, runAt } from '../checkpoint/shipped.js';
import { type Command, commands } from './commands.js';
import { commonFlags, type FlagName, flags, readFlags } from './flags.js';
import { commandHelp, overview } from './help.js';
import { type Ending, exitCodeOf, listenForEndings, watchForEndings } from './signals.js';

type Arguments = Record<string, unknown> & { _: (string | number)[] };

export async function main(argv: readonly string[], streams: Streams = process): Promise<number> {
  const { stdout } = streams;
  // What goes to stdout is awaited; of stderr nothing can be said, and no training ends for its words.
  for (const stream of [stdout, streams.stderr]) stream.on('error', () => {});
  if (streams === process) speakForNode(streams);
  let command: Command | undefined;
  try {
    const parsed = parse(argv);
    const { given } = parsed;
    command = parsed.command;
    if (given.version) await writeLines(stdout, [version]);
    else if (given.help || argv.length === 0) {
      await writeLines(stdout, (command ? commandHelp(command) : overview()).split('\n'));
    } else if (command) return await run(command, given, streams);
    else throw unknownCommand(given);
    return 0;
  } catch (error) {
    return report(error, streams, command);
  }
}

/** In place of what Node would do and print by itself: warnings, what nobody caught, a terminal that closed. */
function speakForNode(streams: Streams): void {
  outliveTerminal();
  process.removeAllListeners('warning');
  process.on('warning', ({ name, message }) => {
    if (name !== 'ExperimentalWarning') sayLine(streams.stderr, `${name}: ${message}`);
  });
  process.on('uncaughtException', (error) => process.exit(report(error, streams)));
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
  const interrupts = listenForInterrupts(command, { reporter, apart: streams === process });
  const libraries = keepLibrariesIn(streams.stderr);
  try {
    const { signal } = interrupts;
    const tell = (line: string) => writeLines(options.json ? streams.stderr : streams.stdout, [line]);
    const outcome = await command.run({ flags: options, words, reporter, tell, signal });
    reporter.close();
    if (options.json) await writeJson(streams.stdout, outcome.summary);
    else await writeLines(streams.stdout, outcome.lines);
    if (options.run !== undefined) await markOutputs(options.run);
    return outcome.stopped ? interrupts.code() : 0;
  } catch (error) {
    reporter.close();
    if (!isOfSignal(error, interrupts.signal)) throw error; // A disk that is full when a training is saved, say.
    sayLine(streams.stderr, 'Stopped.');
    return interrupts.code();
  } finally {
    libraries.restore();
    interrupts.stop();
  }
}

function report(thrown: unknown, { stderr }: Streams, command?: Command): number {
  const error = refusal(thrown) ?? thrown;
  const message = (error instanceof Error ? error.message : String(error)).trimEnd();
  const hindered = diskSentence(error, command);
  const [code, sentences] =
    error instanceof UserError
      ? [2, [message]]
      : [1, hindered ? [hindered] : [`vqgen failed: ${message}`, 'With VQGEN_DEBUG=1 it also says where.']];
  for (const line of process.env.VQGEN_DEBUG ? traced(thrown) : sentences) sayLine(stderr, line);
  return code;
}

/** Whether the error only says that the signal was followed. */
function isOfSignal(error: unknown, { aborted, reason }: AbortSignal): boolean {
  return aborted && (error === reason || (error as Error | undefined)?.cause === reason);
}

/** Of a full disk and its like: what to do, and what stands. */
function diskSentence(error: unknown, command?: Command): string | undefined {
  const { path: file = 'a file' } = (error ?? {}) as NodeJS.ErrnoException;
  const sentence = hindrance(error, placeOf(file));
  if (!sentence) return undefined;
  if (file === outcomePlace) return `${sentence} What the command wrote into files stands.`;
  const trains = command?.flags.includes('resume');
  return trains ? `${sentence} What was saved before stands: then go on with --resume.` : sentence;
}

/** Where the user finds it: the folder of what is still being written. */
const placeOf = (file: string): string =>
  file.replace(/[\\/]\.[^\\/]*\.(?:partial|replaced|ready)(?=[\\/]|$).*$/s, '') || path.sep;

/** The stack's lines; a message is one of them, whatever it holds. */
function traced(thrown: unknown): string[] {
  const { stack, message } = (thrown ?? {}) as Partial<Error>;
  if (stack === undefined) return [String(thrown)];
  const at = message ? stack.indexOf(message) : -1;
  if (at < 0) return stack.split('\n');
  const end = at + String(message).length;
  return [stack.slice(0, end), ...stack.slice(end).split('\n').slice(1)];
}

/** The system's refusal to read or write something, as a mistake that the user can mend. */
function refusal(error: unknown): UserError | undefined {
  const { code = '', path: file, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  if (file === undefined || !['EACCES', 'EPERM', 'EROFS'].includes(code)) return undefined;
  return expected(
    'the right to use it',
    placeOf(file),
    `none (${code} at ${syscall})`,
    'See to its permissions, or name another place.',
  );
}

/**
 * The first signal asks a command that can to end by itself; any other command is ended, and so is one by a second
 * signal.
 *
 * @param o.apart whether a thread of its own hears them
 */
function listenForInterrupts(command: Command, o: { reporter: StreamReporter; apart: boolean }) {
  const patient = command.endsItself ?? false;
  const controller = new AbortController();
  let first: Ending | undefined;
  const heard = (ending: Ending): void => {
    if (first !== undefined || !patient) {
      o.reporter.close();
      process.exit(exitCodeOf(ending));
    }
    first = ending;
    controller.abort();
    const saves = command.flags.includes('resume') ? '; a training is saved first' : '';
    o.reporter.note(`Stopping${saves}. Ctrl-C again ends at once.`);
  };
  const { stop } = o.apart ? watchForEndings({ patient }, heard) : listenForEndings(heard);
  return { signal: controller.signal, code: () => exitCodeOf(first ?? 'SIGINT'), stop };
}

/** A guarded process writes to a pipe, behind which there may be a terminal. */
function asTerminal(stream: Stream): Stream {
  const columns = process.env.VQGEN_TERMINAL;
  return columns ? Object.assign(stream, { isTTY: true, columns: Number(columns) }) : stream;
}

const parsing = {
  'boolean-negation': false,
  'camel-case-expansion': false,
  'dot-notation': false,
  'parse-numbers': false,
  'parse-positional-numbers': false,
  'short-option-groups': false,
};

const namesOf = (...kinds: ('value' | 'switch' | 'each')[]): string[] =>
  Object.entries(flags).flatMap(([name, { kind }]) => (kinds.includes(kind) ? [name] : []));

function parse(argv: readonly string[]): { command?: Command; given: Arguments } {
  const { argv: given, error } = parser.detailed([...argv], {
    configuration: parsing,
    boolean: ['version', ...namesOf('switch')],
    narg: Object.fromEntries(namesOf('value', 'each').map((name) => [name, 1])),
  });
  if (error) throw misuse(error.message) ?? error;
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

/** The parser's own complaints: only a missing value can be left. */
function misuse(message: string): UserError | undefined {
  const flag = /Not enough arguments following: (.+)/.exec(message)?.[1];
  return flag === undefined ? undefined : expected('a value', `--${flag}`, 'nothing');
}

/**
 * What a long command tells the person who waits, all of it on stderr: notes, warnings and one progress bar.
 * Where stderr is no terminal, or a dumb one, the bar becomes at most one plain line per 10 s.
 */
import { openBar, type Stream, sayLine } from './terminal.js';

export interface Progress {
  /** `done` counts from 0 to the total; `fields` (loss, images/s, …) replace the ones shown before. */
  update(done: number, fields?: Record<string, string | number>): void;
  stop(): void;
}

export interface Reporter {
  /** Said before whatever is said next, or not at all: a mistake that is found at once stays one sentence. */
  heading(line: string): void;
  note(line: string): void;
  warn(line: string): void;
  /** `unit` is a plural noun: `steps`, `images`. `start` is what an earlier run has done already. */
  progress(o: { label: string; total: number; unit: string; start?: number }): Progress;
}

/** For tests and for callers who want no words. */
export const silent: Reporter = {
  heading() {},
  note() {},
  warn() {},
  progress: () => ({ update() {}, stop() {} }),
};

/** A reporter on a stream; `close` ends a bar that a failed command left standing. */
export interface StreamReporter extends Reporter {
  close(): void;
}

const plainInterval = 10_000;
const rateWindow = 20_000;

/**
 * @param o.quiet shows warnings only
 * @param o.now milliseconds, for tests
 */
export function createReporter(o: { stream: Stream; quiet?: boolean; now?: () => number }): StreamReporter {
  const { stream } = o;
  const now = o.now ?? Date.now;
  const moves = stream.isTTY && process.env.TERM !== 'dumb'; // A cursor that can be sent elsewhere.
  const open = new Set<Progress>();
  let lastPlainLine = now();
  let heading = '';

  const line = (text: string): void => {
    sayHeading();
    sayLine(stream, text, { bar: moves && open.size > 0 });
  };
  const sayHeading = (): void => {
    const text = heading;
    heading = '';
    if (text) line(text);
  };
  const plain = (text: string): void => {
    if (now() - lastPlainLine < plainInterval) return;
    lastPlainLine = now();
    line(text);
  };

  return {
    heading: (text) => {
      if (!o.quiet) heading = text;
    },
    note: o.quiet ? silent.note : line,
    warn: (text) => line(`Warning: ${text}`),
    progress: ({ label, total, unit, start = 0 }) => {
      if (o.quiet) return silent.progress({ label, total, unit, start });
      sayHeading();
      const speed = speedometer(now, start);
      let done = start;
      let fields: Record<string, string | number> = {};
      const text = (bar = ''): string =>
        describe({ label, bar, done, total, unit, fields, ...speed(done, total) });

      const bar = moves ? openBar(stream, total, start, text) : undefined;
      const progress: Progress = {
        update(value, shown) {
          done = value;
          if (shown) fields = shown;
          if (bar) bar.update(value);
          else plain(text());
        },
        stop() {
          if (open.delete(progress)) bar?.stop();
        },
      };
      open.add(progress);
      return progress;
    },
    close() {
      for (const progress of [...open]) progress.stop();
    },
  };
}

interface Shown {
  label: string;
  bar: string;
  done: number;
  total: number;
  unit: string;
  fields: Record<string, string | number>;
  perSecond: number;
  secondsLeft: number;
}

function describe(s: Shown): string {
  const parts = [[s.label, s.bar, `${s.done}/${s.total}`, s.unit].filter(Boolean).join(' ')];
  for (const [name, value] of Object.entries(s.fields)) parts.push(`${name} ${formatNumber(value)}`);
  if (s.perSecond > 0) parts.push(`${formatNumber(s.perSecond)} ${s.unit}/s`);
  if (s.perSecond > 0 && s.done < s.total) parts.push(`${formatDuration(s.secondsLeft)} left`);
  return parts.join('  ');
}

/** Rate over the last 20 s, so that a slow first step is soon forgotten. */
function speedometer(now: () => number, start: number) {
  let last = { time: now(), done: start };
  const marks = [last];
  return (done: number, total: number): { perSecond: number; secondsLeft: number } => {
    const time = now();
    if (done !== last.done) {
      last = { time, done };
      marks.push(last);
    }
    while (marks.length > 2 && time - marks[1]!.time > rateWindow) marks.shift();
    const [first = last] = marks;
    const perSecond =
      last.time > first.time ? ((last.done - first.done) * 1000) / (last.time - first.time) : 0;
    return { perSecond, secondsLeft: perSecond > 0 ? (total - done) / perSecond : Number.POSITIVE_INFINITY };
  };
}

/** Four significant digits: `0.1235`, `12.35`, `1235`. Whole numbers and words stay as they are. */
export function formatNumber(value: string | number): string {
  if (typeof value === 'string' || Number.isInteger(value) || !Number.isFinite(value)) return `${value}`;
  if (Math.abs(value) >= 1000) return value.toFixed(0);
  return Math.abs(value) < 1e-3 ? value.toExponential(2) : value.toPrecision(4);
}

/** `42 s`, `3 min 05 s`, `2 h 07 min`. */
export function formatDuration(seconds: number): string {
  const s = Math.round(seconds);
  if (s < 60) return `${s} s`;
  const pad = (n: number): string => `${n}`.padStart(2, '0');
  if (s < 3600) return `${Math.floor(s / 60)} min ${pad(s % 60)} s`;
  return `${Math.floor(s / 3600)} h ${pad(Math.floor((s % 3600) / 60))} min`;
}

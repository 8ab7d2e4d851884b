import { PassThrough } from 'node:stream';
import { createReporter, formatDuration, formatNumber } from '../../src/base/progress.js';

function collect(columns?: number) {
  const stream = Object.assign(new PassThrough(), { isTTY: columns !== undefined, columns });
  let written = '';
  stream.on('data', (chunk) => {
    written += chunk;
  });
  return { stream, text: () => written };
}

test('without a terminal there is at most one line in 10 s', () => {
  let now = 0;
  const { stream, text } = collect();
  const reporter = createReporter({ stream, now: () => now });
  const progress = reporter.progress({ label: 'Stage 1', total: 100, unit: 'steps', start: 10 });
  for (let step = 11; step <= 40; step++) {
    now += 1000;
    progress.update(step, { loss: 1 / 3 });
  }
  progress.stop();
  const next = reporter.progress({ label: 'Prior', total: 100, unit: 'steps' });
  next.update(1);
  expect(text().split('\n')).toEqual([
    'Stage 1 20/100 steps  loss 0.3333  1 steps/s  1 min 20 s left',
    'Stage 1 30/100 steps  loss 0.3333  1 steps/s  1 min 10 s left',
    'Stage 1 40/100 steps  loss 0.3333  1 steps/s  1 min 00 s left',
    '',
  ]);
});

test('a terminal gets one bar, and notes above it', () => {
  const { stream, text } = collect(120);
  const reporter = createReporter({ stream });
  const progress = reporter.progress({ label: 'Stage 1', total: 4, unit: 'steps' });
  progress.update(2, { loss: 0.5 });
  reporter.note('saved');
  progress.update(4);
  reporter.close();
  const drawn = text();
  expect(drawn).toContain('\r\x1b[Ksaved\n');
  expect(drawn).toContain(`Stage 1 ${'█'.repeat(24)} 4/4 steps  loss 0.5`);
  expect(drawn.endsWith('\n')).toBe(true);
});

test('a dumb terminal gets lines', () => {
  const before = process.env.TERM;
  process.env.TERM = 'dumb';
  try {
    let now = 0;
    const { stream, text } = collect(120);
    const reporter = createReporter({ stream, now: () => now });
    const progress = reporter.progress({ label: 'Stage 1', total: 4, unit: 'steps' });
    now = 10_000;
    progress.update(2);
    reporter.note('saved');
    progress.stop();
    expect(text()).toBe('Stage 1 2/4 steps  0.2000 steps/s  10 s left\nsaved\n');
  } finally {
    if (before === undefined) delete process.env.TERM;
    else process.env.TERM = before;
  }
});

test('a heading waits for what it stands above', () => {
  const { stream, text } = collect();
  const reporter = createReporter({ stream });
  reporter.heading('Device: CPU.');
  expect(text()).toBe('');
  reporter.note('one');
  reporter.note('two');
  expect(text()).toBe('Device: CPU.\none\ntwo\n');
});

test('quiet leaves warnings only', () => {
  const { stream, text } = collect();
  const reporter = createReporter({ stream, quiet: true });
  reporter.heading('Device: CPU.');
  reporter.note('hello');
  reporter.warn('slow');
  reporter.progress({ label: 'x', total: 1, unit: 'steps' }).update(1);
  expect(text()).toBe('Warning: slow\n');
});

test('numbers and durations are short', () => {
  expect([0.123456, 12, 1234.5, 1e-5, 'word'].map(formatNumber)).toEqual([
    '0.1235',
    '12',
    '1235',
    '1.00e-5',
    'word',
  ]);
  expect([41.6, 185, 7620].map(formatDuration)).toEqual(['42 s', '3 min 05 s', '2 h 07 min']);
});

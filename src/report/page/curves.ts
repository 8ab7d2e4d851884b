/**
 * Draws the charts of `.training .stage` from the JSON of `#curves`, and again when `vqgen:curves` brings a stage anew.
 * Runs behind uPlot's own script, in one module.
 */
import type Plot from 'uplot';
import type { Chart, StageCharts } from '../charts.js';

declare const uPlot: typeof Plot;

type Lines = Chart['lines'];

interface Drawn {
  readonly box: HTMLElement;
  readonly place: HTMLElement;
  readonly readout: HTMLOutputElement;
  chart: Chart;
  stage: StageCharts;
  plot?: Plot;
  /** What of the step axis is seen, where not all of it. */
  zoom?: { min: number; max: number };
}

const height = 168;
const axisFont = '11px system-ui, sans-serif';
const drawn = new Map<string, Drawn>();
const logarithmic = document.querySelector<HTMLInputElement>('.log-axis input');

/** A colour of the style sheet as a canvas takes it. */
const probe = document.createElement('span');
probe.hidden = true;
document.body.append(probe);
const colour = (name: string): string => {
  probe.style.color = `var(${name})`;
  return getComputedStyle(probe).color;
};
const colourOf = (run: number): string => colour(`--run-${run % 6}`);

const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });
const tick = (value: number | null): string =>
  value === null
    ? ''
    : value !== 0 && Math.abs(value) < 1e-3
      ? value.toExponential(0)
      : compact.format(value);
const exact = (value: number): string =>
  value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(2) : Number(value.toPrecision(4)).toString();

const isLog = ({ log }: Chart): boolean => log && logarithmic?.checked === true;

function show(stage: StageCharts): void {
  const place = document.querySelector<HTMLElement>(`.stage[data-stage="${stage.stage}"] .charts`);
  if (!place) return;
  const wanted = stage.groups.flatMap(({ title, charts }) => [title, ...charts.map(({ key }) => key)]).join();
  if (place.dataset.charts !== wanted) build(place, stage);
  place.dataset.charts = wanted;
  for (const chart of stage.groups.flatMap(({ charts }) => charts)) {
    const one = drawn.get(`${stage.stage} ${chart.key}`);
    if (!one) continue;
    Object.assign(one, { chart, stage });
    refresh(one);
  }
}

function build(place: HTMLElement, stage: StageCharts): void {
  for (const [name, { plot, box }] of drawn) {
    if (!place.contains(box)) continue;
    plot?.destroy();
    drawn.delete(name);
  }
  place.replaceChildren();
  for (const { title, charts } of stage.groups) {
    const heading = document.createElement('h4');
    heading.textContent = title;
    place.append(heading);
    for (const chart of charts) {
      const box = document.createElement('figure');
      box.className = 'chart';
      box.dataset.key = chart.key;
      const caption = document.createElement('figcaption');
      const name = document.createElement('span');
      name.textContent = chart.unit ? `${chart.title}, ${chart.unit}` : chart.title;
      const readout = document.createElement('output');
      readout.ariaLive = 'off'; // Charts move together: only the one that has the focus is read out.
      const canvas = document.createElement('div');
      canvas.className = 'plot';
      canvas.tabIndex = 0;
      canvas.setAttribute('role', 'group');
      caption.append(name, readout);
      box.append(caption, canvas);
      place.append(box);
      const one: Drawn = { box, place: canvas, readout, chart, stage };
      canvas.addEventListener('keydown', (event) => walk(one, event));
      canvas.addEventListener('focus', () => {
        readout.ariaLive = 'polite';
      });
      canvas.addEventListener('blur', () => {
        readout.ariaLive = 'off';
        one.plot?.setCursor({ left: -10, top: -10 });
      });
      drawn.set(`${stage.stage} ${chart.key}`, one);
    }
  }
}

function refresh(one: Drawn): void {
  const { chart, place, plot } = one;
  const lines = chart.lines;
  const last = valuesAt(one, Number.POSITIVE_INFINITY).map((said) => named(one.stage, said));
  place.setAttribute('aria-label', `${chart.title}: ${last.join(', ')}. Arrow keys step through.`);
  const data = uPlot.join(
    lines.map(({ x, y }) => [x, isLog(chart) ? y.map((v) => (v > 0 ? v : null)) : y] as Plot.AlignedData),
  );
  const now = lines.map(({ run, split }) => `${run} ${split}`).join();
  if (plot && place.dataset.lines === now) {
    plot.setData(data, !one.zoom);
    if (one.zoom) plot.setScale('x', one.zoom);
  } else {
    plot?.destroy();
    one.plot = new uPlot(options(one), data, place);
  }
  place.dataset.lines = now;
  tell(one);
}

function options(one: Drawn): Plot.Options {
  const { chart, place } = one;
  const axis = {
    font: axisFont,
    stroke: () => colour('--faint'),
    grid: { stroke: () => colour('--line'), width: 1 },
    ticks: { show: false },
  };
  return {
    width: place.clientWidth,
    height,
    legend: { show: false },
    cursor: {
      y: false,
      sync: { key: one.stage.stage, scales: ['x', null] },
      drag: { x: true, y: false },
      points: { size: 6 },
    },
    scales: { x: { time: false }, y: scaleOf(chart) },
    axes: [
      { ...axis, size: 24, gap: 4, space: 60, values: (_, splits) => splits.map(tick) },
      {
        ...axis,
        size: 44,
        gap: 4,
        space: 28,
        values: (_, splits) => splits.map(tick),
        ...(isLog(chart) && { splits: magnitudes }),
      },
    ],
    series: [{}, ...chart.lines.map(seriesOf)],
    hooks: {
      setCursor: [() => tell(one)],
      draw: [(plot) => mark(plot, one)],
      setScale: [
        (plot, key) => {
          if (key !== 'x') return;
          const [first, last] = [plot.data[0][0] ?? 0, plot.data[0].at(-1) ?? 0];
          const { min = first, max = last } = plot.scales.x ?? {};
          one.zoom = min !== null && max !== null && (min > first || max < last) ? { min, max } : undefined;
        },
      ],
    },
  };
}

function scaleOf(chart: Chart): Plot.Scale {
  if (isLog(chart)) return { distr: 3, range: (_, min, max) => [(min ?? 1) / 1.1, (max ?? 1) * 1.1] };
  return chart.unit === '%' ? { range: [0, 100] } : {};
}

/** 1, 2 and 5 of each power of ten, or the powers alone where there are many. */
function magnitudes(_: Plot, __: number, min: number, max: number): number[] {
  const [first, last] = [Math.floor(Math.log10(min)), Math.ceil(Math.log10(max))];
  const digits = last - first > 3 ? [1] : [1, 2, 5];
  const all = Array.from({ length: Math.min(last - first + 1, 40) }, (_, i) => first + i);
  return all
    .flatMap((power) => digits.map((digit) => digit * 10 ** power))
    .filter((v) => v >= min && v <= max);
}

function seriesOf({ run, split, x }: Lines[number]): Plot.Series {
  const stroke = (): string => colourOf(run);
  return split === 'val'
    ? { stroke, width: 2, spanGaps: true, points: { show: x.length <= 60, size: 5, fill: stroke } }
    : { stroke, width: 1, alpha: 0.6, spanGaps: true, points: { show: x.length < 3, size: 4, fill: stroke } };
}

/** Where a run was trained anew. */
function mark(plot: Plot, { stage }: Drawn): void {
  const { ctx, bbox } = plot;
  for (const { run, step } of stage.restarts) {
    const at = plot.valToPos(step, 'x', true);
    if (at < bbox.left || at > bbox.left + bbox.width) continue;
    ctx.save();
    ctx.strokeStyle = colourOf(run);
    ctx.setLineDash([4, 4]);
    ctx.beginPath();
    ctx.moveTo(at, bbox.top);
    ctx.lineTo(at, bbox.top + bbox.height);
    ctx.stroke();
    ctx.restore();
  }
}

/** The newest value of a line up to a step. */
function valueAt({ x, y }: Lines[number], step: number): number | undefined {
  let [low, high] = [0, x.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (x[middle]! <= step) low = middle + 1;
    else high = middle;
  }
  return y[low - 1];
}

interface Said {
  readonly run: number;
  readonly text: string;
}

/** What each run's lines say at a step. */
function valuesAt({ chart, stage }: Drawn, step: number): Said[] {
  return stage.runs.flatMap((_, run) => {
    const parts = chart.lines.flatMap((line) => {
      const value = line.run === run ? valueAt(line, step) : undefined;
      if (value === undefined) return [];
      return `${stage.runs.length > 1 ? '' : line.split === 'val' ? 'validation ' : 'training '}${exact(value)}`;
    });
    return parts.length === 0 ? [] : [{ run, text: parts.join(stage.runs.length > 1 ? ' / ' : ' · ') }];
  });
}

const named = ({ runs }: StageCharts, { run, text }: Said): string =>
  runs.length > 1 ? `${runs[run]} ${text}` : text;

/** The values under the cursor, else the last ones; of several runs each behind its colour. */
function tell(one: Drawn): void {
  const { plot, readout, stage } = one;
  const index = plot?.cursor.idx;
  const step = index === null || index === undefined ? undefined : plot?.data[0][index];
  const values = valuesAt(one, step ?? Number.POSITIVE_INFINITY).map((said) => {
    const value = document.createElement('span');
    if (stage.runs.length > 1) {
      value.className = 'value';
      value.style.setProperty('--run', `var(--run-${said.run % 6})`);
      value.title = stage.runs[said.run] ?? '';
      value.ariaLabel = named(stage, said);
    }
    value.textContent = said.text;
    return value;
  });
  readout.replaceChildren(step === undefined ? '' : `step ${step.toLocaleString('en')}: `, ...values);
}

/** One point on or back, to the first or to the last. */
function walk({ plot, zoom }: Drawn, event: KeyboardEvent): void {
  if (!plot) return;
  const steps = plot.data[0];
  const shown = zoom ?? { min: steps[0] ?? 0, max: steps.at(-1) ?? 0 };
  const [first, last] = [steps.findIndex((x) => x >= shown.min), steps.findLastIndex((x) => x <= shown.max)];
  const index = plot.cursor.idx ?? undefined;
  const to = {
    ArrowLeft: index === undefined ? last : index - 1,
    ArrowRight: index === undefined ? first : index + 1,
    Home: first,
    End: last,
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  const step = steps[Math.min(Math.max(to, first), last)];
  if (step !== undefined) plot.setCursor({ left: plot.valToPos(step, 'x'), top: height / 3 });
}

function rebuild(): void {
  for (const one of drawn.values()) {
    one.plot?.destroy();
    one.plot = undefined;
    refresh(one);
  }
}

logarithmic?.addEventListener('change', rebuild);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', rebuild);
document.addEventListener('vqgen:curves', (event) => show((event as CustomEvent<StageCharts>).detail));
addEventListener('resize', () => {
  for (const { plot, place } of drawn.values()) {
    if (plot && plot.width !== place.clientWidth) plot.setSize({ width: place.clientWidth, height });
  }
});

for (const stage of JSON.parse(document.getElementById('curves')?.textContent ?? '[]') as StageCharts[])
  show(stage);

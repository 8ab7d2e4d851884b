// node scripts/scaling.mjs [FILE.png]: how time grows with what a work is given, as a picture, with the
// exponent of each growth (the slope of a straight line through the logarithms, by least squares).
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const stage1 = { ch: 32, 'ch-mult': '1,2,4', 'res-blocks': 1, 'z-channels': 64, 'embed-dim': 64, codes: 512 };
const gpt = { layers: 4, heads: 8, width: 256, tokens: 256 };
const series = [
  {
    work: 'stage1-ae',
    name: 'resolution',
    power: 2,
    base: { ...stage1, 'vgg-taps': 3, batch: 2 },
    values: [32, 64, 128, 256],
  },
  {
    work: 'stage1-ae',
    name: 'batch',
    base: { ...stage1, 'vgg-taps': 3, resolution: 64 },
    values: [1, 2, 4, 8, 16],
  },
  { work: 'prior-train', name: 'tokens', base: { ...gpt, batch: 4 }, values: [64, 128, 256, 512, 1024] },
  { work: 'prior-train', name: 'width', base: { ...gpt, batch: 4 }, values: [128, 256, 512, 1024] },
  { work: 'sample', name: 'batch', base: gpt, values: [1, 4, 16, 64], unit: 'pictures at a time' },
  { work: 'sample', name: 'tokens', base: { ...gpt, batch: 4 }, values: [64, 256, 1024] },
];

function milliseconds(work, sizes) {
  const flags = Object.entries(sizes).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const args = ['scripts/bench.mjs', work, '--steps', '3', '--warmup', '1', ...flags];
  const stdout = execFileSync(process.execPath, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return JSON.parse(stdout).ms;
}

/** Least squares: how many times as long for each doubling, as a power. */
function exponent(values, times) {
  const [x, y] = [values, times].map((list) => list.map(Math.log));
  const mean = (list) => list.reduce((sum, v) => sum + v, 0) / list.length;
  const [mx, my] = [mean(x), mean(y)];
  return mean(x.map((v, i) => (v - mx) * (y[i] - my))) / mean(x.map((v) => (v - mx) ** 2));
}

const [width, height, margin] = [330, 260, 46];

/** Both axes logarithmic, so that growth in proportion, to the pixels of a resolution, is a straight line (dashed). */
function panel({ work, name, unit = name, values, power = 1 }, times, [left, top]) {
  const range = (list) => [Math.log2(Math.min(...list)), Math.log2(Math.max(...list))];
  const [x0, x1] = range(values);
  const proportional = times[0] * (values.at(-1) / values[0]) ** power;
  const [y0, y1] = range([...times, proportional]);
  const x = (v) => margin + ((Math.log2(v) - x0) / (x1 - x0)) * (width - 1.5 * margin);
  const y = (v) => height - margin - ((Math.log2(v) - y0) / (y1 - y0)) * (height - 1.8 * margin);
  const points = values.map((v, i) => `${x(v)},${y(times[i])}`);
  const straight = `${x(values[0])},${y(times[0])} ${x(values.at(-1))},${y(proportional)}`;
  const labels = values.map(
    (v, i) =>
      `<circle cx="${x(v)}" cy="${y(times[i])}" r="3.5" fill="#1f5fa8"/>
      <text x="${x(v)}" y="${y(times[i]) - 9}">${Math.round(times[i])}</text>
      <text x="${x(v)}" y="${height - margin + 18}" fill="#666">${v}</text>`,
  );
  const title = `${work} by ${unit}: exponent ${exponent(values, times).toFixed(2)}`;
  return `<g transform="translate(${left} ${top})">
    <polyline points="${straight}" stroke="#bbb" stroke-dasharray="4 4" fill="none"/>
    <polyline points="${points.join(' ')}" stroke="#1f5fa8" stroke-width="2" fill="none"/>
    ${labels.join('')}<text x="${width / 2}" y="${height - 8}" font-weight="bold">${title}</text></g>`;
}

const panels = series.map((one, i) => {
  const times = one.values.map((value) => milliseconds(one.work, { ...one.base, [one.name]: value }));
  const row = one.values.map((v, k) => `${v}: ${times[k].toFixed(1)}`).join(', ');
  console.log(`${one.work} by ${one.name}: exponent ${exponent(one.values, times).toFixed(2)} (${row} ms)`);
  return panel(one, times, [(i % 2) * width, 20 + Math.floor(i / 2) * height]);
});
const [all, tall] = [2 * width, 20 + (panels.length / 2) * height];
const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${all}" height="${tall}" font-family="sans-serif" font-size="11"
  text-anchor="middle"><rect width="100%" height="100%" fill="white"/>
  <text x="${all / 2}" y="16">ms; dashed: in proportion</text>${panels.join('')}</svg>`;
await sharp(Buffer.from(svg), { density: 144 })
  .png({ palette: true })
  .toFile(process.argv[2] ?? path.join(root, 'docs/scaling.png'));

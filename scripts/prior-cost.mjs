// node scripts/prior-cost.mjs FILE.png: how the time of a prior's training step grows with tokens, width and batch, as
// a picture.
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const base = { layers: 4, heads: 8, width: 256, tokens: 256, batch: 4 };
const series = [
  { name: 'tokens', values: [64, 128, 256, 512, 1024] },
  { name: 'width', values: [128, 256, 384, 512, 768] },
  { name: 'batch', values: [1, 2, 4, 8, 16] },
];

function milliseconds(sizes) {
  const flags = Object.entries(sizes).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const args = ['scripts/bench.mjs', 'prior-train', '--steps', '3', '--warmup', '1', ...flags];
  const stdout = execFileSync(process.execPath, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return JSON.parse(stdout).ms;
}

const [width, height, margin] = [300, 260, 46];

/**
 * One panel, both axes logarithmic: a straight line of slope 1 (dashed, from the first point) is growth in proportion.
 */
function panel({ name, values }, times, left) {
  const range = (list) => [Math.log2(Math.min(...list)), Math.log2(Math.max(...list))];
  const [x0, x1] = range(values);
  const [y0, y1] = range([...times, (times[0] * values.at(-1)) / values[0]]);
  const x = (v) => left + margin + ((Math.log2(v) - x0) / (x1 - x0)) * (width - 1.5 * margin);
  const y = (v) => height - margin - ((Math.log2(v) - y0) / (y1 - y0)) * (height - 1.8 * margin);
  const points = values.map((v, i) => `${x(v)},${y(times[i])}`);
  const proportional = `${x(values[0])},${y(times[0])} ${x(values.at(-1))},${y((times[0] * values.at(-1)) / values[0])}`;
  const labels = values.map(
    (v, i) =>
      `<circle cx="${x(v)}" cy="${y(times[i])}" r="3.5" fill="#1f5fa8"/>
      <text x="${x(v)}" y="${y(times[i]) - 9}">${Math.round(times[i])}</text>
      <text x="${x(v)}" y="${height - margin + 18}" fill="#666">${v}</text>`,
  );
  return `<polyline points="${proportional}" stroke="#bbb" stroke-dasharray="4 4" fill="none"/>
    <polyline points="${points.join(' ')}" stroke="#1f5fa8" stroke-width="2" fill="none"/>
    ${labels.join('')}<text x="${left + width / 2}" y="${height - 8}" font-weight="bold">${name}</text>`;
}

const panels = series.map((one, i) => {
  const times = one.values.map((value) => milliseconds({ ...base, [one.name]: value }));
  console.log(`${one.name}: ${one.values.map((v, k) => `${v} ${times[k].toFixed(0)} ms`).join(', ')}`);
  return panel(one, times, i * width);
});
const title = `ms a step; not varied: ${Object.entries(base)
  .map(([name, value]) => `${name} ${value}`)
  .join(', ')}; dashed: in proportion`;
const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${3 * width}" height="${height + 20}" font-family="sans-serif" font-size="11"
  text-anchor="middle"><rect width="100%" height="100%" fill="white"/><text x="${1.5 * width}" y="16">${title}</text>
  <g transform="translate(0 20)">${panels.join('')}</g></svg>`;
await sharp(Buffer.from(svg), { density: 144 })
  .png({ palette: true })
  .toFile(process.argv[2] ?? path.join(root, 'docs/prior-cost.png'));

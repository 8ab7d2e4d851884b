// node scripts/large-memory.mjs --run RUN [--condition MAP] [--seed 0] [--device cpu] [--threads N] SIZE…: what larger
// pictures cost: seconds and peak resident memory of `vqgen sample --n 1 --size SIZE` for each SIZE, such as 256x256,
// each in a process of its own, as a Markdown table. The pictures go into the run's samples/, as ever.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const text = (standard) => ({ type: 'string', default: standard });
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ...{ run: text(), condition: text(), seed: text('0') },
    ...{ device: text('cpu'), threads: text(`${os.availableParallelism()}`) },
  },
});
const program = fileURLToPath(new URL('../bin/vqgen.js', import.meta.url));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'large-memory-'));
const note = path.join(folder, 'peak');
// Told by the child itself: the most that it ever held, in kilobytes.
const tellPeak = `import fs from 'node:fs'; process.on('exit', () =>
  fs.writeFileSync(${JSON.stringify(note)}, String(process.resourceUsage().maxRSS)));`;
const options = Object.entries(values).flatMap(([name, value]) =>
  value === undefined ? [] : [`--${name}`, value],
);

console.log('| pixels | seconds | tokens a second | peak memory, MiB | of the first |\n|--|--|--|--|--|');
let first;
for (const size of positionals) {
  const started = performance.now();
  const child = spawnSync(
    process.execPath,
    [
      ...['--import', `data:text/javascript,${encodeURIComponent(tellPeak)}`],
      ...[program, 'sample', '--n', '1', '--size', size, ...options],
      ...['--out', path.join(folder, 'grid.png'), '--json', '--quiet'],
    ],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
  );
  if (child.status !== 0) throw new Error(`vqgen sample --size ${size} ended with ${child.status}`);
  const seconds = (performance.now() - started) / 1000;
  const { tokens_per_second: speed } = JSON.parse(child.stdout.trim().split('\n').at(-1));
  const peak = Number(fs.readFileSync(note, 'utf8')) / 1024;
  first ??= peak;
  console.log(
    `| ${size} | ${seconds.toFixed(1)} | ${speed.toFixed(1)} | ${peak.toFixed(0)} | ${(peak / first).toFixed(2)} |`,
  );
}
fs.rmSync(folder, { recursive: true });

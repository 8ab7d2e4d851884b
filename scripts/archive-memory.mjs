// node scripts/archive-memory.mjs [--pictures 1000,10000] [--only KIND]: the most memory that reading archives takes, by
// their kinds and how many pictures they have, as a Markdown table: each archive is read twice as `train-stage1` reads
// it, with no decoded pixels kept in memory, in a process of its own. The last column is what stays of each picture more,
// when what nobody needs is collected: its name, its place and its line in the list of the cache.
import { fork } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import sharp from 'sharp';
import { idxOf, parquetOf, tarOf, zipOf } from './archives/made.mjs';

const { values: given } = parseArgs({
  options: {
    pictures: { type: 'string', default: '1000,10000' },
    only: { type: 'string' },
    child: { type: 'string' },
  },
});

const classes = ['cat', 'dog'];

/** One picture after another with noise of its own, width × width × channels. */
function noise(i, bytes) {
  const data = Buffer.alloc(bytes);
  let state = i + 1;
  for (let at = 0; at < bytes; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    data[at] = state >>> 24;
  }
  return data;
}

async function partsOf(count) {
  const parts = [];
  for (let i = 0; i < count; i++) {
    const raw = { width: 32, height: 32, channels: 3 };
    const bytes = await sharp(noise(i, 32 * 32 * 3), { raw })
      .png({ compressionLevel: 1 })
      .toBuffer();
    parts.push({ name: `${classes[i % 2]}/${i}.png`, label: classes[i % 2], bytes });
  }
  return parts;
}

/** Each writes an archive of so many pictures below a folder. @returns what `--data` would name */
const kinds = {
  folder: (folder, parts) => {
    for (const name of classes) fs.mkdirSync(path.join(folder, name));
    for (const { name, bytes } of parts) fs.writeFileSync(path.join(folder, name), bytes);
    return folder;
  },
  zip: (folder, parts) => written(folder, 'a.zip', zipOf(parts)),
  tar: async (folder, parts) => written(folder, 'a.tar', await tarOf(parts)),
  'WebDataset shards': async (folder, parts) => {
    for (let from = 0; from < parts.length; from += 1000) {
      const shard = parts.slice(from, from + 1000).flatMap(({ label, bytes }, i) => [
        { name: `${i}.png`, bytes },
        { name: `${i}.cls`, bytes: label },
      ]);
      written(folder, `train-${from / 1000}.tar`, await tarOf(shard));
    }
    return folder;
  },
  'parquet, row groups of 100': (folder, parts) => parquet(folder, parts, 100),
  'parquet, row groups of 1,000': (folder, parts) => parquet(folder, parts, 1000),
  'MNIST idx': (folder, { length }) => {
    written(folder, 'a-labels-idx1-ubyte', idxOf([length], Buffer.alloc(length, 1)));
    return written(folder, 'a-images-idx3-ubyte', idxOf([length, 28, 28], noise(0, length * 784)));
  },
  'CIFAR-10': (folder, { length }) => {
    const bytes = noise(0, length * 3073);
    for (let i = 0; i < length; i++) bytes[i * 3073] = i % 10;
    return written(folder, 'data_batch_1.bin', bytes);
  },
};

function written(folder, name, bytes) {
  const place = path.join(folder, name);
  fs.writeFileSync(place, bytes);
  return place;
}

const parquet = (folder, parts, rowGroupSize) =>
  written(folder, 'a.parquet', parquetOf(parts, classes, { rowGroupSize, codec: 'UNCOMPRESSED' }));

async function child(dir) {
  const load = (name) => import(new URL(`../dist/${name}.js`, import.meta.url).href);
  const [{ openDataset }, { evalImages }] = [await load('data/dataset'), await load('data/batches')];
  const { silent } = await load('base/progress');
  const config = {
    ...{ dir, val_dir: null, pictures: 'photographs', labels: [], size: 32, flip: false },
    ...{ val_fraction: 0.1, max_unreadable: 0, drawn: 20 },
  };
  const held = [];
  for (let round = 0; round < 2; round++) {
    const cacheDir = fs.mkdtempSync(path.join(os.tmpdir(), 'archive-memory-cache-'));
    const { train } = await openDataset(config, { cacheDir, reporter: silent, memoryBytes: 0 });
    for (let from = 0; from < train.count; from += 64) {
      const batch = Array.from({ length: Math.min(64, train.count - from) }, (_, i) => from + i);
      await evalImages(train, batch, 32);
    }
    fs.rmSync(cacheDir, { recursive: true });
    globalThis.gc();
    const { heapUsed, external } = process.memoryUsage();
    held.push(train.count && heapUsed + external);
  }
  process.send({ held: held.at(-1), peak: peakOf() });
  process.disconnect();
}

/** Bytes, of this program: what Node tells counts in the process that began it. Linux only. */
const peakOf = () => 1024 * Number(/VmHWM:\s*(\d+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1]);

/** What the child says of itself. */
function measure(dir) {
  const self = fork(fileURLToPath(import.meta.url), [`--child=${dir}`], {
    execArgv: ['--expose-gc'],
    stdio: 'inherit',
  });
  return new Promise((resolve, reject) => {
    self.on('message', resolve);
    self.on('close', (code) => reject(new Error(`reading ended with ${code}`)));
  });
}

async function main() {
  const counts = given.pictures.split(',').map(Number);
  const parts = await partsOf(Math.max(...counts));
  const MiB = (bytes) => (bytes / 2 ** 20).toFixed(0);
  console.log(
    `| read | ${counts.map((n) => `peak with ${n}, MiB`).join(' | ')} | held, bytes a picture |\n|${'--|'.repeat(counts.length + 2)}`,
  );
  for (const [kind, make] of Object.entries(kinds)) {
    if (given.only !== undefined && kind !== given.only) continue;
    const found = [];
    for (const count of counts) {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'archive-memory-'));
      try {
        found.push(await measure(await make(folder, parts.slice(0, count))));
      } finally {
        fs.rmSync(folder, { recursive: true });
      }
    }
    const more = (found.at(-1).held - found[0].held) / (counts.at(-1) - counts[0]);
    console.log(`| ${kind} | ${found.map(({ peak }) => MiB(peak)).join(' | ')} | ${more.toFixed(0)} |`);
  }
}

await (given.child === undefined ? main() : child(given.child));

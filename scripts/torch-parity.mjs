// Whether the PyTorch project (pytorch/) does what vqgen does: `npm run test:torch`, or of one part alone
// `node scripts/torch-parity.mjs stage1|prior|train [CASE…]`. PYTHON names a python with torch; without torch nothing is
// done, which is said. Cases are written by scripts/torch-parity/PART.mjs and judged by pytorch/tests/parity_PART.py, on
// one process and on two; `train` runs the commands, torchrun and a worker that is killed.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(fileURLToPath(import.meta.url), '../..');
const { PYTHON = 'python3' } = process.env;

const found = spawnSync(PYTHON, ['-c', 'import torch; print(torch.__version__)'], { encoding: 'utf8' });
if (found.status !== 0) {
  console.log(
    `No PyTorch in ${PYTHON}: its parity with vqgen is not looked at. PYTHON names another python.`,
  );
  process.exit(0);
}
console.log(`PyTorch ${found.stdout.trim()}`);

const [part, ...only] = process.argv.slice(2);
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-torch-'));
let failed = false;
try {
  for (const name of ['stage1', 'prior'].filter((name) => part === undefined || part === name))
    await steps(name);
  if (part === undefined || part === 'train') {
    const { trainedOn } = await import('./torch-parity/train.mjs');
    await trainedOn({ root, python: PYTHON, folder: path.join(folder, 'train') });
  }
} finally {
  fs.rmSync(folder, { recursive: true });
}
process.exit(failed ? 1 : 0);

/**
 * Ten steps of each case, by vqgen and by PyTorch. A case that differs is looked at again from two other seeds, and fails
 * if it differs there too: what lies between two codes, or at the bend of a ReLU, to within rounding, falls to one side
 * here and to the other there, and from then on the two are apart.
 */
async function steps(name) {
  const { cases, write } = await import(`./torch-parity/${name}.mjs`);
  const written = async (one, seed) => {
    const place = path.join(folder, name, `${one}${seed ? `-${seed}` : ''}`);
    fs.mkdirSync(place, { recursive: true });
    await write(one, place, seed);
    return place;
  };
  const places = new Map();
  for (const one of cases().filter((one) => only.length === 0 || only.includes(one)))
    places.set(one, await written(one));

  const judge = path.join(root, 'pytorch', 'tests', `parity_${name}.py`);
  const twice = ['-m', 'torch.distributed.run', '--nproc-per-node', '2'];
  const env = { ...process.env, OMP_NUM_THREADS: '1' };
  for (const words of [[], twice]) {
    const same = (...places) =>
      spawnSync(PYTHON, [...words, judge, ...places], { stdio: 'inherit', env }).status === 0;
    if (same(...places.values())) continue;
    for (const [one, place] of places) {
      const again = async (seed) => {
        console.log(`${one}: once more, from the seed ${seed}`);
        return same(await written(one, seed));
      };
      failed ||= !(same(place) || (await again(4)) || (await again(5)));
    }
  }
}

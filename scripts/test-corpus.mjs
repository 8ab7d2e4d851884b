// npm run test:corpus: bad and odd pictures and files go through train-stage1, tokenize and reconstruct, as built: counts,
// names, exit codes, memory and time. On Linux.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { faultsOf, makeCorpus } from './odd-files.mjs';

const MB = 2 ** 20;
const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** Bytes of a process and of those that it started, now. */
function memoryOf(pid) {
  try {
    const own =
      1024 * Number(/VmRSS:\s*(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0);
    const children = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
    const others = children.reduce((sum, child) => sum + memoryOf(child).all, 0);
    return { own, all: own + others };
  } catch {
    return { own: 0, all: 0 };
  }
}

function vqgen(...args) {
  const began = performance.now();
  const child = spawn(process.execPath, [
    path.join(root, 'bin/vqgen.js'),
    ...args,
    '--json',
    '--device',
    'cpu',
  ]);
  const written = { stdout: '', stderr: '' };
  child.stdout.on('data', (text) => (written.stdout += text));
  child.stderr.on('data', (text) => (written.stderr += text));
  const peak = { own: 0, all: 0 };
  const watch = setInterval(() => {
    const now = memoryOf(child.pid);
    peak.own = Math.max(peak.own, now.own);
    peak.all = Math.max(peak.all, now.all);
  }, 50);
  return new Promise((resolve) =>
    child.on('close', (code) => {
      clearInterval(watch);
      const seconds = (performance.now() - began) / 1000;
      const summary = code === 0 ? JSON.parse(written.stdout.trim().split('\n').at(-1)) : undefined;
      resolve({ code, ...written, summary, seconds, peak });
    }),
  );
}

async function main() {
  const work = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-corpus-'));
  const folder = path.join(work, 'odd');
  const run = path.join(work, 'run');
  let faults = 0;
  const check = (what, isRight, more = '') => {
    if (!isRight) faults++;
    console.log(`${isRight ? 'ok  ' : 'FAIL'} ${what}${more && ` (${more})`}`);
  };
  const { expected, close } = await makeCorpus(folder);
  const of = (kind) => [...expected.values()].filter((what) => what.kind === kind).length;
  const [images, skipped] = [of('counts'), of('named')];
  console.log(
    `${expected.size} files and links: ${images} count, ${skipped} are named, ${of('left out')} are left out`,
  );
  try {
    const { listImages } = await import('../dist/data/source.js');
    const { attempt } = await import('../dist/data/cache.js');
    const source = await listImages(folder);
    const read = new Map();
    for (const [i, name] of source.names.entries()) read.set(name, (await attempt(source, i, 32)).reason);
    const wrong = faultsOf(expected, read);
    for (const fault of wrong) console.log(`     ${fault}`);
    check('each file is counted, named or left out as it should be', wrong.length === 0);

    const most = 1024 * MB;
    const told = (what, o, seconds) => {
      const { own, all } = o.peak;
      check(
        `${what}: memory below 1 GB`,
        all < most,
        `${Math.round(own / MB)} MB, with what it starts ${Math.round(all / MB)} MB`,
      );
      check(`${what}: done within ${seconds} s`, o.seconds < seconds, `${o.seconds.toFixed(0)} s`);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be there
      check(`${what}: nothing acts on the terminal`, !/[\x00-\x08\x0b-\x1f\x7f]/.test(o.stdout + o.stderr));
      check(`${what}: no stack`, !/^\s+at /m.test(o.stderr));
    };
    const train = ['train-stage1', '--config', 'tiny', '--data', folder, '--run', run, '--steps', '2'];
    const refused = await vqgen(...train);
    const share = `${skipped} of ${images + skipped} cannot`;
    check(
      'train-stage1 stops before the first step, with the share',
      refused.code === 2 && refused.stderr.includes(share),
      refused.stderr.split('\n').at(-2)?.slice(0, 200),
    );
    told('refused', refused, 180);
    const trained = await vqgen(...train, '--set', 'data.max_unreadable=1');
    check(
      'train-stage1, told to, goes on and names what it leaves out',
      trained.code === 0 && trained.stderr.includes(`${skipped} of ${images + skipped} images were skipped`),
    );
    told('train-stage1', trained, 180);
    const again = await vqgen('train-stage1', '--resume', '--steps', '3', '--run', run);
    check(
      'train-stage1 --resume finds the same pictures',
      again.code === 0,
      again.code === 0 ? '' : again.stderr,
    );
    for (const args of [
      ['tokenize', '--run', run],
      ['tokenize', folder, '--split', 'odd', '--run', run],
    ]) {
      const tokens = await vqgen(...args);
      const { images: n, skipped: left } = tokens.summary ?? {};
      check(
        `${args[1] === folder ? 'tokenize FOLDER' : 'tokenize'}: counts`,
        n === images && left === skipped,
        tokens.summary ? `${n} and ${left}` : tokens.stderr,
      );
      told('tokenize', tokens, 180);
    }
    const shown = await vqgen('reconstruct', folder, '--run', run, '--out', path.join(work, 'shown.png'));
    check(
      'reconstruct: counts',
      shown.summary?.images === images,
      shown.summary ? `${shown.summary.images}` : shown.stderr,
    );
    told('reconstruct', shown, 180);
    for (const name of ['links-pipe.jpg', 'links/zero.jpg', 's.png', 'sparse/0.jpg', 'no/text.jpg']) {
      const single = await vqgen(
        'reconstruct',
        path.join(folder, name),
        '--run',
        run,
        '--out',
        path.join(work, 'x.png'),
      );
      check(
        `reconstruct ${name}: refused in a sentence`,
        single.code === 2 && /^Expected /m.test(single.stderr),
        single.stderr.trim().slice(-160),
      );
      told(`reconstruct ${name}`, single, 60);
    }
  } finally {
    await close();
    fs.rmSync(work, { recursive: true, force: true });
  }
  console.log(faults === 0 ? 'All as expected.' : `${faults} faults.`);
  process.exitCode = faults === 0 ? 0 : 1;
}

await main();

// npm run demo: the four commands without any option, as a user would type them in this folder. The last one names the
// grid.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

for (const command of ['train-stage1', 'tokenize', 'train-prior', 'sample']) {
  console.log(`\n$ vqgen ${command}`);
  const { status, signal } = spawnSync(process.execPath, [path.join(root, 'bin/vqgen.js'), command], {
    cwd: root,
    stdio: 'inherit',
  });
  if (status !== 0) {
    if (signal) console.error(`vqgen ${command} was ended by ${signal}`);
    process.exit(status ?? 1);
  }
}

// Brings a fresh clone (or one whose lock file or sources have changed) to the point where bin/vqgen.js runs.
import { execSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(
    `Expected Node.js 20.19 or newer but received ${process.versions.node}. Install a newer one: https://nodejs.org`,
  );
  process.exit(2);
}

const run = (command) => execSync(command, { cwd: root, stdio: ['ignore', 2, 2] });
const changed = (file) => fs.statSync(path.join(root, file), { throwIfNoEntry: false })?.mtimeMs ?? 0;
const newest = (folder) =>
  fs
    .readdirSync(path.join(root, folder), { recursive: true })
    .reduce((time, name) => Math.max(time, changed(path.join(folder, name))), changed(folder));

if (changed('package-lock.json') > changed('node_modules/.package-lock.json')) {
  // npm ci empties the folder behind a link.
  if (fs.lstatSync(path.join(root, 'node_modules'), { throwIfNoEntry: false })?.isSymbolicLink()) {
    console.error(
      'node_modules is a link, and older than package-lock.json: left as it is. Run npm ci where it leads, or remove the link.',
    );
  } else run('npm ci');
}
const built = changed('dist/.built');
const settings = [
  ...['', '.build', '.types', '.page'].map((name) => `tsconfig${name}.json`),
  'scripts/bundle.mjs',
];
if (Math.max(newest('src'), ...settings.map(changed)) > built) {
  fs.rmSync(path.join(root, 'dist'), { recursive: true, force: true });
  run('npm run --silent build');
  fs.writeFileSync(path.join(root, 'dist/.built'), '');
}

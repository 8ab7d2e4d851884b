// A Vulkan device in software for tests, out of Debian's chromium-common package into .cache/swiftshader; no root,
// nothing installed.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const cache = path.join(root, '.cache/swiftshader');
const files = ['libvk_swiftshader.so', 'vk_swiftshader_icd.json', 'libvulkan.so.1'];

/**
 * The environment in which a process finds the device; fetches it the first time. Throws an Error that says what is
 * missing.
 */
export function swiftshader() {
  if (!files.every((file) => fs.existsSync(path.join(cache, file)))) fetchDevice();
  return {
    VK_ICD_FILENAMES: path.join(cache, 'vk_swiftshader_icd.json'),
    LD_LIBRARY_PATH: [cache, process.env.LD_LIBRARY_PATH].filter(Boolean).join(':'),
  };
}

function fetchDevice() {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-swiftshader-'));
  const run = (command, ...args) =>
    execFileSync(command, args, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  try {
    const lists = path.join(folder, 'lists');
    fs.mkdirSync(path.join(lists, 'partial'), { recursive: true });
    const ownLists = ['-o', `Dir::State::Lists=${lists}`, '-o', `Dir::Cache=${folder}`];
    try {
      run('apt-get', 'download', 'chromium-common');
    } catch (error) {
      if (error.code === 'ENOENT') throw new Error('it takes apt-get, as Debian has it');
      run('apt-get', ...ownLists, 'update');
      run('apt-get', ...ownLists, 'download', 'chromium-common');
    }
    const [archive] = fs.readdirSync(folder).filter((name) => name.endsWith('.deb'));
    run('dpkg-deb', '-x', archive, 'unpacked');
    fs.mkdirSync(cache, { recursive: true });
    for (const file of files)
      fs.copyFileSync(path.join(folder, 'unpacked/usr/lib/chromium', file), path.join(cache, file));
  } catch (error) {
    const why = error.stderr?.toString().trim().split('\n').at(-1) || error.message;
    throw new Error(`SwiftShader could not be fetched: ${why}`);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    console.log(swiftshader().VK_ICD_FILENAMES);
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}

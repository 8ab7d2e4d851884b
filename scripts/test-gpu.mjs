// npm run test:gpu [-- FILES]: the parity suite on the GPU that answers, else on SwiftShader.
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { swiftshader } from './swiftshader.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const { searchAdapter } = await import('../dist/engine/adapter.js');

const search = await searchAdapter();
let software = {};
if (!search.adapter) {
  try {
    software = swiftshader();
  } catch (error) {
    console.error(`No WebGPU adapter: ${search.none}. ${error.message}`);
    process.exit(1);
  }
}
console.error(`WebGPU on ${search.adapter?.name ?? 'SwiftShader'}`);
const { status } = spawnSync(
  process.execPath,
  [
    '--experimental-vm-modules',
    '--disable-warning=ExperimentalWarning',
    'node_modules/jest/bin/jest.js',
    '--config=jest.gpu.config.mjs',
    ...process.argv.slice(2),
  ],
  { cwd: root, stdio: 'inherit', env: { ...process.env, ...software, VQGEN_TEST_DEVICE: 'webgpu' } },
);
process.exit(status ?? 1);

/** The files of ONNX Runtime Web that a page needs, from the package where that is installed. */
import { createRequire } from 'node:module';
import path from 'node:path';
import { expected } from '../../base/errors.js';
import { inPackage } from '../../base/root.js';

const runtimePackage = 'onnxruntime-web';

/** The module that pages import, and what that loads: one build for the CPU and for WebGPU. */
const runtimeNames = [
  'ort.webgpu.min.mjs',
  'ort-wasm-simd-threaded.asyncify.mjs',
  'ort-wasm-simd-threaded.asyncify.wasm',
];

/** What a file is called in a page's folder: not every server knows what `.mjs` is. */
export const servedName = (file: string): string => path.basename(file).replace(/\.mjs$/, '.js');

/**
 * Their places.
 *
 * @param from files beside whose packages it is looked for, in turn; vqgen's own, and those of the working directory
 * @throws UserError where it is not installed
 */
export function runtimeFiles(
  from: readonly string[] = [inPackage('package.json'), path.resolve('package.json')],
): readonly string[] {
  for (const file of from) {
    try {
      const found = createRequire(file).resolve(`${runtimePackage}/${runtimeNames.at(-1)}`);
      return runtimeNames.map((name) => path.join(path.dirname(found), name));
    } catch {
      // Perhaps it is installed elsewhere.
    }
  }
  throw expected(
    `the package ${runtimePackage}`,
    '--to web',
    'none',
    `It computes in the browser and is large, so that vqgen does not bring it: npm install ${runtimePackage}`,
  );
}

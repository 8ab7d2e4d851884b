// Loads a file of CommonJS together with what V8 compiled of it in an earlier process, which lies beside it.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import module from 'node:module';
import path from 'node:path';
import vm from 'node:vm';

const changed = (file) => fs.statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
const digest = (bytes) => createHash('sha256').update(bytes).digest();
const DIGEST = 32;

/** What was kept, unless it is older than the file, or damaged, which V8 need not notice, or cannot be read. */
function kept(cache, file) {
  if (changed(cache) < changed(file)) return undefined;
  try {
    const bytes = fs.readFileSync(cache);
    const code = bytes.subarray(DIGEST);
    return digest(code).equals(bytes.subarray(0, DIGEST)) ? code : undefined;
  } catch {
    return undefined; // Another user's, say.
  }
}

/**
 * @param file the path of the file, in ASCII
 * @param use what for: only functions that were called are compiled, and so each use has code of its own
 * @returns what the file exports, and `keep`, which keeps what was compiled for the next process, where nothing
 *   fitting was there and the folder can be written
 */
export function loadCompiled(file, use) {
  const cache = `${file}.${use}.${process.versions.v8}.cache`;
  const cachedData = kept(cache, file);
  const text = module.wrap(fs.readFileSync(file, 'latin1'));
  const script = new vm.Script(text, { filename: file, cachedData });
  const loaded = { exports: {} };
  script.runInThisContext()(loaded.exports, module.createRequire(file), loaded, file, path.dirname(file));
  return {
    exports: loaded.exports,
    keep() {
      if (cachedData && !script.cachedDataRejected) return;
      const temporary = `${cache}.${process.pid}`;
      try {
        fs.accessSync(path.dirname(file), fs.constants.W_OK);
        const code = script.createCachedData();
        fs.writeFileSync(temporary, Buffer.concat([digest(code), code]));
        fs.renameSync(temporary, cache);
      } catch {
        // Whoever installed vqgen may be another than who runs it.
        fs.rmSync(temporary, { force: true });
      }
    },
  };
}

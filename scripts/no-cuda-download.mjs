// Runs when a user installs the package, before onnxruntime-node's own install script. That script downloads CUDA
// libraries on Linux, which vqgen does not load, and fails without a network. It leaves alone what is there already:
// an empty file stands in for each. ONNXRUNTIME_NODE_INSTALL=cuda12 npm rebuild onnxruntime-node fetches the real
// ones.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(import.meta.url);
try {
  const folder = path.dirname(require.resolve('onnxruntime-node/package.json'));
  const { requirements, manifests } = require(path.join(folder, 'script/install-metadata.js'));
  const platform = `${process.platform}/${process.arch}`;
  for (const name of requirements[platform] ?? []) {
    for (const file of Object.keys(manifests[`${platform}:${name}`] ?? {})) {
      const target = path.join(folder, 'bin/napi-v6', platform, file);
      if (!fs.existsSync(target)) fs.writeFileSync(target, '');
    }
  }
} catch {
  // Another layout of onnxruntime-node: its script then does as it likes.
}

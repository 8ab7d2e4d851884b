#!/usr/bin/env node
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { loadCompiled } from './compiled.js';

const program = fileURLToPath(new URL('../dist/bundle/main.cjs', import.meta.url));
if (!fs.existsSync(program)) {
  console.error('Expected the built program for dist/ but received sources only. Run npm run setup once.');
  process.exit(2);
}
const args = process.argv.slice(2);
const command = /^[a-z-]+$/.exec(args[0] ?? '')?.[0] ?? 'none';
if (isInstalled('@tensorflow/tfjs-node-gpu')) {
  // It registers with the TF.js that Node finds, and the bundle has one of its own.
  const { main } = await import('../dist/cli/main.js');
  process.exitCode = await main(args);
} else {
  const { exports, keep } = loadCompiled(program, command);
  process.exitCode = await exports.main(args);
  // Help and mistakes compile little; and after a while V8 forgets what is no longer called.
  const { user } = process.cpuUsage();
  if (user > 400_000 && process.uptime() < 10) keep();
}

function isInstalled(name) {
  try {
    createRequire(import.meta.url).resolve(name);
    return true;
  } catch {
    return false;
  }
}

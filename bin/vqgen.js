#!/usr/bin/env node
import fs from 'node:fs';

const program = new URL('../dist/bundle/main.js', import.meta.url);
if (!fs.existsSync(program)) {
  console.error('Expected the built program for dist/ but received sources only. Run npm run setup once.');
  process.exit(2);
}
const { main } = await import(program.href);
process.exitCode = await main(process.argv.slice(2));

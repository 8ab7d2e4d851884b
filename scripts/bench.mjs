// npm run --silent bench -- WORK [flags]: times the built program; builds it first where it has not been built.
import fs from 'node:fs';

const built = new URL('../dist/cli/bench.js', import.meta.url);
if (!fs.existsSync(built)) await import('./setup.mjs');
const { main } = await import(built.href);
process.exitCode = await main(process.argv.slice(2));

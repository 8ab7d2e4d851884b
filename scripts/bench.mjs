// npm run --silent bench -- WORK [flags]: times the present sources; what set-up has to say goes to stderr.
import './setup.mjs';

const { main } = await import('../dist/cli/bench.js');
process.exitCode = await main(process.argv.slice(2));

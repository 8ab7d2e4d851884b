/**
 * Loaded before a program (`node --require`), it kills it just before its KILL_AT-th file operation that changes
 * something or flushes it; 0: never. KILL_LOG names a file that gets the operations.
 */
const fs = require('node:fs');
const { syncBuiltinESMExports } = require('node:module');

const at = Number(process.env.KILL_AT ?? 0);
const { appendFileSync } = fs;
let count = 0;
let logging = false;

function operation(name, target) {
  if (logging) return;
  count++;
  logging = true;
  if (process.env.KILL_LOG) appendFileSync(process.env.KILL_LOG, `${count} ${name} ${target}\n`);
  logging = false;
  if (count === at) process.kill(process.pid, 'SIGKILL');
}

const watched = [
  'rename',
  'rm',
  'rmdir',
  'unlink',
  'mkdir',
  'link',
  'copyFile',
  'writeFile',
  'open',
  'appendFile',
];

/** Opening to read changes nothing. */
const changes = (name, args) => !name.startsWith('open') || (args[1] ?? 'r') !== 'r';

for (const [holder, names] of [
  [fs.promises, watched],
  [fs, watched.map((name) => `${name}Sync`)],
]) {
  for (const name of names) {
    const original = holder[name];
    holder[name] = (...args) => {
      if (changes(name, args)) operation(name, args[0]);
      return original.apply(holder, args);
    };
  }
}

// Flushes and writes go through handles, whose class is not exported.
const { open } = fs.promises;
fs.promises.open = async (...args) => {
  const handle = await open(...args);
  for (const name of ['sync', 'write', 'writeFile']) {
    const original = handle[name];
    handle[name] = (...given) => {
      operation(`handle.${name}`, args[0]);
      return original.apply(handle, given);
    };
  }
  return handle;
};
syncBuiltinESMExports();

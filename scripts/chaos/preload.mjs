/**
 * Loaded into a vqgen process before anything else (`node --import`): numbers every operation by which it changes files
 * and, as VQGEN_CHAOS says (JSON), ends the process at one of them, half done where that can be, or has the disk full
 * from one of them on.
 *
 *   list   a file that is told at the end what each operation was
 *   kill   the number of the operation at which the process ends
 *   full   the number of the operation from which on nothing more fits on the disk
 *   plant  a fault, to see that the checks find it: `copies` renames by copying, file by file, and is ended amid the
 *          first such copy after `kill`
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import path from 'node:path';
import { isMainThread } from 'node:worker_threads';

const plan = JSON.parse(process.env.VQGEN_CHAOS ?? '{}');
const own = { ...fs, promises: { ...fs.promises } };
const operations = [];

const die = () => process.kill(process.pid, 'SIGKILL');

function isDue(takesSpace, name, place) {
  operations.push(name);
  if (plan.full && operations.length >= plan.full && takesSpace) {
    const error = new Error(`ENOSPC: no space left on device, ${name}`);
    throw Object.assign(error, { code: 'ENOSPC', errno: -28, syscall: name }, place && { path: place });
  }
  if (plan.plant) return name === 'copy' && operations.length >= plan.kill;
  return operations.length === plan.kill;
}

function half(data) {
  const whole = Array.isArray(data) ? Buffer.concat(data) : data; // Weights are written from a list of pieces.
  return whole.slice(0, whole.length >> 1);
}
const writes = (flags) => (typeof flags === 'number' ? (flags & 3) !== 0 : /[wa+]/.test(flags ?? 'r'));

/** Half of what a recursive removal removes. */
function removeHalf(place) {
  if (!own.statSync(place, { throwIfNoEntry: false })?.isDirectory()) return;
  const files = own
    .readdirSync(place, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile());
  for (const { parentPath, name } of files.slice(0, Math.ceil(files.length / 2)))
    own.unlinkSync(path.join(parentPath, name));
}

/** The planted fault: what a rename is not. */
function copyAcross(from, to) {
  if (own.statSync(from).isDirectory()) {
    own.mkdirSync(to, { recursive: true });
    for (const name of own.readdirSync(from)) copyAcross(path.join(from, name), path.join(to, name));
  } else {
    const data = own.readFileSync(from);
    own.writeFileSync(to, half(data));
    if (isDue(false, 'copy')) die();
    own.writeFileSync(to, data);
  }
  own.rmSync(from, { recursive: true });
}

const isPlanted = (to) => plan.plant === 'copies' && !fs.existsSync(to);

/** What each call does when its turn comes to be the last: a part of its work. */
const torn = {
  writeFile: (place, data) => own.writeFileSync(place, half(data)),
  appendFile: (place, data) => own.appendFileSync(place, half(data)),
  copyFile: (from, to) => own.writeFileSync(to, half(own.readFileSync(from))),
  rm: (place) => removeHalf(place),
};

const takeSpace = ['writeFile', 'appendFile', 'copyFile', 'mkdir', 'mkdtemp', 'open', 'link', 'symlink'];

/** Calls that return a value or throw: all of `fs`, and at their start all of `fs/promises`. */
function meet(name, args) {
  if (name === 'open' && !writes(args[1])) return;
  const isWritten = name === 'writeFile' || name === 'appendFile'; // of which Node's errors name no file
  if (plan.full && isWritten && operations.length + 1 >= plan.full) own.writeFileSync(args[0], '', args[2]);
  if (!isDue(takeSpace.includes(name), name, isWritten ? undefined : String(args[0]))) return;
  torn[name]?.(...args);
  die();
}

if (isMainThread) {
  const changing = [
    ...['rename', 'unlink', 'rm', 'rmdir', 'mkdir', 'mkdtemp', 'open', 'writeFile', 'appendFile', 'copyFile'],
    ...['truncate', 'link', 'symlink'],
  ];
  for (const name of changing) {
    fs[`${name}Sync`] = (...args) => {
      meet(name, args);
      if (name === 'rename' && isPlanted(args[1])) return copyAcross(...args);
      return own[`${name}Sync`](...args);
    };
    fs.promises[name] = async (...args) => {
      meet(name, args);
      if (name === 'rename' && isPlanted(args[1])) return copyAcross(...args);
      return own.promises[name](...args);
    };
  }
  fs.fsyncSync = (fd) => {
    if (isDue(false, 'fsync')) die();
    own.fsyncSync(fd);
  };

  const handle = await own.promises.open(process.execPath);
  const ofHandles = Object.getPrototypeOf(handle);
  await handle.close();
  const { sync, datasync, truncate, write, writeFile, appendFile } = ofHandles;
  for (const [name, original] of Object.entries({ sync, datasync, truncate })) {
    ofHandles[name] = async function (...args) {
      if (isDue(false, name)) die();
      return original.apply(this, args);
    };
  }
  ofHandles.write = async function (data, offset = 0, length = data.length - offset, position = null) {
    if (isDue(true, 'write')) {
      if (typeof data !== 'string') own.writeSync(this.fd, data, offset, length >> 1, position);
      die();
    }
    return typeof data === 'string'
      ? write.call(this, data, offset, length)
      : write.call(this, data, offset, length, position);
  };
  for (const [name, original] of Object.entries({ writeFile, appendFile })) {
    ofHandles[name] = async function (data, ...args) {
      if (isDue(true, 'write')) {
        own.writeSync(this.fd, half(data));
        die();
      }
      return original.call(this, data, ...args);
    };
  }
  syncBuiltinESMExports();
  if (plan.list) process.on('exit', () => own.writeFileSync(plan.list, operations.join(' ')));
}

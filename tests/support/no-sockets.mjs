// Loaded before a program (--import) with VQGEN_SOCKETS=FILE: every attempt of it to reach a network fails and is noted
// there, and so is every socket of the internet that it holds at a look, whoever opened it: native libraries do not ask
// Node.
import dgram from 'node:dgram';
import dns from 'node:dns';
import fs from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import module from 'node:module';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';

const doors = [
  ['net.connect', net.Socket.prototype, 'connect'],
  ['net.listen', net.Server.prototype, 'listen'],
  ['dgram.bind', dgram.Socket.prototype, 'bind'],
  ['dgram.send', dgram.Socket.prototype, 'send'],
  ['dgram.connect', dgram.Socket.prototype, 'connect'],
  ['tls.connect', tls, 'connect'],
  ['http2.connect', http2, 'connect'],
  ...['request', 'get'].flatMap((name) => [
    [`http.${name}`, http, name],
    [`https.${name}`, https, name],
  ]),
  ...['lookup', 'resolve', 'resolve4', 'resolve6'].flatMap((name) => [
    [`dns.${name}`, dns, name],
    [`dns.promises.${name}`, dns.promises, name],
  ]),
  ...['fetch', 'WebSocket', 'EventSource'].map((name) => [name, globalThis, name]),
];

const look = 100; // milliseconds

/** @param tell is called with what was tried. @returns ends it */
export function watchSockets(tell) {
  const before = [];
  for (const [what, owner, name] of doors) {
    const own = Object.getOwnPropertyDescriptor(owner, name);
    if (!own) continue;
    before.push([owner, name, own]);
    const refuse = () => {
      tell(what);
      throw new Error(`${what} was called`);
    };
    Object.defineProperty(owner, name, { value: refuse, configurable: true, writable: true });
  }
  module.syncBuiltinESMExports();
  const seen = new Set();
  const native = () => {
    for (const socket of openSockets()) {
      if (!seen.has(socket)) tell(`a socket of ${socket}`);
      seen.add(socket);
    }
  };
  const timer = setInterval(native, look);
  timer.unref?.();
  process.on('exit', native);
  return () => {
    for (const [owner, name, own] of before) Object.defineProperty(owner, name, own);
    module.syncBuiltinESMExports();
    clearInterval(timer);
    process.off('exit', native);
  };
}

/** Of this process and the internet, where the system tells (Linux). */
function openSockets() {
  const inodes = new Set();
  for (const name of listed('/proc/self/fd')) {
    const inode = /^socket:\[(\d+)\]$/.exec(linkOf(`/proc/self/fd/${name}`))?.[1];
    if (inode) inodes.add(inode);
  }
  if (inodes.size === 0) return [];
  return ['tcp', 'tcp6', 'udp', 'udp6', 'raw', 'raw6'].filter((kind) =>
    textOf(`/proc/self/net/${kind}`)
      .split('\n')
      .some((line) => inodes.has(line.trim().split(/\s+/)[9])),
  );
}

function orElse(read, otherwise) {
  try {
    return read();
  } catch {
    return otherwise;
  }
}
const listed = (folder) => orElse(() => fs.readdirSync(folder), []);
const linkOf = (file) => orElse(() => fs.readlinkSync(file), '');
const textOf = (file) => orElse(() => fs.readFileSync(file, 'utf8'), '');

const notes = process.env.VQGEN_SOCKETS;
if (notes) {
  const note = (line) => fs.appendFileSync(notes, `${line}\n`);
  note(
    `began ${process.argv
      .slice(1)
      .map((word) => path.basename(word))
      .join(' ')}`,
  );
  watchSockets((what) => note(`opened ${what}`));
}

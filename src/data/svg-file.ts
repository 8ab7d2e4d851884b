/**
 * SVG files. Drawing one can take any time and memory and cannot be stopped from within, so it is done in other
 * processes (`bin/draw-svg.js`), a few at a time, which are ended when a drawing takes too much of either.
 */
import { type ChildProcess, fork } from 'node:child_process';
import fs from 'node:fs/promises';
import os from 'node:os';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { inPackage } from '../base/root.js';
import { budget } from './memory.js';

export type DrawnAs = 'photographs' | 'labels' | 'depth';

interface Extent {
  readonly width: number;
  readonly height: number;
}

/** Of the text, unpacked. */
const mostText = 16 * 2 ** 20;

interface Limits {
  readonly seconds: number;
  /** Of the process that draws, bytes. */
  readonly memory: number;
}

const forDrawing: Limits = { seconds: 10, memory: 320 * 2 ** 20 };

/** A machine may be very busy. */
const forBeginning: Limits = { ...forDrawing, seconds: 120 };

const isPacked = (file: Buffer): boolean => file[0] === 0x1f && file[1] === 0x8b;

/** Whether the decoder takes these bytes for SVG, packed or not. */
export function isSvg(file: Buffer): boolean {
  if (isPacked(file)) return true;
  const begins = file.subarray(0, 24);
  return begins.every((byte) => byte >= 9 && byte < 128) && /<svg/i.test(file.toString('latin1', 0, 2048));
}

/** @throws Error where it is no SVG, or takes too much to look into */
export async function svgExtent(file: Buffer): Promise<Extent> {
  return ask<Extent>({ file: await unpacked(file) }, forDrawing);
}

/** The samples of a drawing of an extent, bytes or for depth 16-bit words, and how many there are of a pixel. */
export async function drawSvg(
  file: Buffer,
  kind: DrawnAs,
  { width, height }: Extent,
  limits = forDrawing,
): Promise<{ data: Uint8Array; channels: number }> {
  return ask({ file: await unpacked(file), kind, width, height }, limits);
}

async function unpacked(file: Buffer): Promise<Buffer> {
  const tooLarge = () => new Error(`an SVG of more than ${mostText / 2 ** 20} MB`);
  if (!isPacked(file)) {
    if (file.length > mostText) throw tooLarge();
    return file;
  }
  const text = await promisify(gunzip)(file, { maxOutputLength: mostText }).catch((error) => {
    throw error.code === 'ERR_BUFFER_TOO_LARGE' ? tooLarge() : new Error('packed data that is damaged');
  });
  if (!isSvg(text) || isPacked(text)) throw new Error('no picture that can be read');
  return text;
}

type Answer = { reply: unknown } | { message: string };

let ending = new AbortController();

/** Ends what is drawn now, and waits to be; what is asked for later is drawn. */
function endDrawings(): void {
  ending.abort();
  ending = new AbortController();
}

const known = new WeakSet<AbortSignal>();

/** Whoever stops does not wait for drawings. */
export function endDrawingsOn(signal: AbortSignal | undefined): void {
  if (!signal || known.has(signal)) return;
  known.add(signal);
  signal.addEventListener?.('abort', endDrawings, { once: true });
}

const places = budget(Math.min(4, os.availableParallelism()));
const idle: ChildProcess[] = [];

/** Milliseconds after which a process that nobody needs is ended. */
const idleFor = 3000;

function ask<T>(request: object, limits: Limits): Promise<T> {
  const { signal } = ending;
  return places.hold(1, async () => {
    signal.throwIfAborted();
    const child = waiting() ?? (await begin());
    let answer: Answer;
    try {
      answer = await exchange(child, () => child.send(request), limits, signal);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
    idle.push(child);
    setTimeout(() => endIdle(child), idleFor).unref();
    if ('message' in answer) throw new Error(answer.message);
    return answer.reply as T;
  });
}

function waiting(): ChildProcess | undefined {
  let child = idle.pop();
  while (child && !child.connected) child = idle.pop();
  return child;
}

function endIdle(child: ChildProcess): void {
  const at = idle.indexOf(child);
  if (at < 0) return;
  idle.splice(at, 1);
  child.kill('SIGKILL');
}

async function begin(): Promise<ChildProcess> {
  const program = inPackage('bin/draw-svg.js');
  const child = fork(program, { execArgv: [], serialization: 'advanced', stdio: 'ignore' });
  child.on('error', () => {}); // Whoever waits for it hears so, too.
  await exchange(child, () => {}, forBeginning);
  return child;
}

/** The next message of a process, which keeps this one alive only until then. */
async function exchange<T>(
  child: ChildProcess,
  send: () => void,
  { seconds, memory }: Limits,
  signal?: AbortSignal,
): Promise<T> {
  const done = new AbortController();
  child.ref();
  child.channel?.ref();
  try {
    return await new Promise<T>((resolve, reject) => {
      const onMessage = (message: unknown): void => resolve(message as T);
      const onExit = (): void => reject(new Error('a drawing that ends the process that draws it'));
      const onEnd = (): void => reject(new Error('ended'));
      child.on('message', onMessage).on('error', reject).on('exit', onExit);
      signal?.addEventListener('abort', onEnd);
      if (signal?.aborted) onEnd();
      done.signal.addEventListener('abort', () => {
        child.off('message', onMessage).off('error', reject).off('exit', onExit);
        signal?.removeEventListener('abort', onEnd);
      });
      const late = setTimeout(
        () => reject(new Error(`a drawing that takes longer than ${seconds} s`)),
        1000 * seconds,
      );
      const watch = setInterval(async () => {
        if ((await memoryOf(child)) > memory)
          reject(new Error(`a drawing that takes more than ${memory / 2 ** 20} MB`));
      }, 100);
      done.signal.addEventListener('abort', () => {
        clearTimeout(late);
        clearInterval(watch);
      });
      send();
    });
  } finally {
    done.abort();
    child.unref();
    child.channel?.unref();
  }
}

/** Bytes, where the system tells: Linux. */
async function memoryOf({ pid }: ChildProcess): Promise<number> {
  const status = await fs.readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return 1024 * Number(/VmRSS:\s*(\d+)/.exec(status)?.[1] ?? 0);
}

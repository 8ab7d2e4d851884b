/**
 * Whether a GPU answers. ONNX Runtime does not tell which adapter its WebGPU provider took, and a driver can take the
 * process down with it: so a child process tries it, and measures a product of matrices there and on the CPU. A
 * software adapter gives itself away by its rate, whatever it is called.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { inPackage } from '../base/root.js';
import { GraphBuilder } from './graph.js';
import { encodeModel, port } from './onnx.js';
import './telemetry.js';

export interface Adapter {
  /** For people: `NVIDIA H200`, or `a software adapter`. */
  readonly name: string;
  readonly software: boolean;
  /** Rates of a float32 matrix product, 10⁹ operations a second; of a software adapter the CPU's is not measured. */
  readonly gflops: number;
  readonly cpuGflops?: number;
}

export type Search = { readonly adapter: Adapter } | { readonly none: string };

/** Rates below which no GPU of today lies, and far above what SwiftShader reaches on two cores (0.7). */
const SOFTWARE_BELOW = 6;

/** Side of the matrices and products in a row: a first try that software survives, then the one that counts. */
const TRIAL = { side: 256, products: 1 };
const MEASURED = { side: 1024, products: 8 };

const PATIENCE_MS = 120_000;

/** Why no adapter can be there, from a look at files alone, or nothing. */
export function noGpuInSight(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  if (process.env.VK_ICD_FILENAMES || process.env.VK_DRIVER_FILES) return undefined;
  const nodes = ['/dev', '/dev/dri'].flatMap((folder) => {
    try {
      return fs.readdirSync(folder);
    } catch {
      return [];
    }
  });
  const seen = nodes.some((name) => /^(renderD\d+|nvidia\d+|dxg)$/.test(name));
  return seen ? undefined : 'no GPU is in sight (/dev/dri/renderD* and /dev/nvidia* are missing)';
}

/** Tries the adapter in a process of its own: about a second where there is one. */
export async function searchAdapter(): Promise<Search> {
  const missing = noGpuInSight();
  if (missing) return { none: missing };
  const { stdout, stderr, ended } = await tryInChild();
  const found = Object.assign({}, ...stdout.split('\n').filter(Boolean).map(parsed)) as Findings;
  if (found.trial === undefined) return { none: reason(found.error) ?? ended };
  const software = found.trial < SOFTWARE_BELOW;
  return {
    adapter: {
      name: software ? 'a software adapter' : gpuNames(stderr),
      software,
      gflops: found.gpu ?? found.trial,
      cpuGflops: found.cpu,
    },
  };
}

/** Without the source lines that ONNX Runtime's messages begin with; `No supported adapters` is what stays of most. */
function reason(error: string | undefined): string | undefined {
  const last = error
    ?.split(/(?:was false\.|: )/)
    .at(-1)
    ?.trim()
    .replace(/\.$/, '');
  return last && `the driver says: ${last}`;
}

/** What the child prints, one object a line. */
interface Findings {
  readonly trial?: number;
  readonly gpu?: number;
  readonly cpu?: number;
  readonly error?: string;
}

function parsed(line: string): Findings {
  try {
    return JSON.parse(line);
  } catch {
    return {};
  }
}

/**
 * A scalar spread over a matrix, multiplied with itself again and again, and summed up: nothing to upload or download.
 */
function productModel({ side, products }: typeof TRIAL): string {
  const g = new GraphBuilder();
  const start = { name: 'start', type: 'float32', shape: [] } as const;
  const shape = { shape: [side, side] };
  const matrix = g.op('Expand', [start, g.ints(shape.shape)], {}, shape);
  let power = matrix;
  for (let i = 0; i < products; i++) power = g.op('MatMul', [power, matrix], {}, shape);
  const sum = g.op('ReduceMax', [power, g.ints([0, 1])], { keepdims: 0 }, { shape: [] });
  const { model } = encodeModel({
    name: 'products',
    nodes: g.nodes,
    initializers: [...g.initializers.values()],
    inputs: [port(start)],
    outputs: [port(sum)],
  });
  return Buffer.from(model).toString('base64');
}

/**
 * Runs with the runtime's path, the models and limits as its argument; `console.log` is synchronous on a pipe of
 * POSIX, so a crash loses nothing.
 */
const script = `
const { runtime, trial, measured, softwareBelow } = JSON.parse(process.argv[1]);
const ort = require(runtime);
ort.env.logLevel = 'verbose';
async function rate(provider, { model, side, products }) {
  const session = await ort.InferenceSession.create(Buffer.from(model, 'base64'), {
    executionProviders: [provider],
    logSeverityLevel: 3,
    extra: provider === 'cpu' ? {} : { session: { disable_cpu_ep_fallback: '1' } },
  });
  const feeds = { start: new ort.Tensor('float32', Float32Array.of(1 / side), []) };
  const times = [];
  for (let i = 0; i < 4; i++) {
    const before = process.hrtime.bigint();
    await session.run(feeds);
    times.push(Number(process.hrtime.bigint() - before));
  }
  await session.release();
  return (2 * side ** 3 * products) / Math.min(...times);
}
(async () => {
  const say = (found) => console.log(JSON.stringify(found));
  try {
    const first = await rate('webgpu', trial);
    say({ trial: first });
    if (first < softwareBelow) return;
    say({ gpu: await rate('webgpu', measured) });
    say({ cpu: await rate('cpu', measured) });
  } catch (error) {
    say({ error: String(error.message).split('\\n')[0] });
  }
})();
`;

function tryInChild(): Promise<{ stdout: string; stderr: string; ended: string }> {
  const task = {
    runtime: createRequire(inPackage('package.json')).resolve('onnxruntime-node'),
    trial: { ...TRIAL, model: productModel(TRIAL) },
    measured: { ...MEASURED, model: productModel(MEASURED) },
    softwareBelow: SOFTWARE_BELOW,
  };
  const child = spawn(process.execPath, ['-e', script, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: process.env,
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
  const written = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => (written.stdout += chunk));
  child.stderr.on('data', (chunk) => (written.stderr += chunk));
  return new Promise((resolve) => {
    const end = (ended: string) => {
      clearTimeout(timer);
      resolve({ ...written, ended });
    };
    child.on('error', (error) => end(`no process to try it in (${error.message})`));
    child.on('close', (code, signal) =>
      end(`the driver ended its process (${signal ?? `exit code ${code}`})`),
    );
  });
}

/**
 * ONNX Runtime lists the machine's devices in its log (`type:1` is a GPU), some with a description; NVIDIA's driver
 * tells Linux more.
 */
function gpuNames(log: string): string {
  const names = nvidiaNames();
  for (const [, entry = ''] of log.matchAll(/Discovered OrtHardwareDevice \{([^}]*)\}/g)) {
    if (!/\btype:1\b/.test(entry)) continue;
    const vendor = /vendor:([^,]*)/.exec(entry)?.[1]?.trim() ?? '';
    if (/nvidia/i.test(vendor) && names.length > 0) continue;
    const described = /Description=([^,\]]*)/.exec(entry)?.[1]?.trim();
    const ids = [/vendor_id:(\w+)/, /device_id:(\w+)/].map((id) => id.exec(entry)?.[1] ?? '?').join(':');
    names.push(described || `${vendor || 'GPU'} (PCI ${ids})`);
  }
  return [...new Set(names)].join(' or ') || 'a GPU without a name';
}

function nvidiaNames(): string[] {
  const folder = '/proc/driver/nvidia/gpus';
  try {
    return fs.readdirSync(folder).flatMap((gpu) => {
      const text = fs.readFileSync(`${folder}/${gpu}/information`, 'utf8');
      return /^Model:\s*(.+)$/m.exec(text)?.[1] ?? [];
    });
  } catch {
    return [];
  }
}

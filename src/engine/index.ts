/** Devices by name. */
import { expected } from '../base/errors.js';
import { clearScratch } from '../base/files.js';
import type { Reporter } from '../base/progress.js';
import type { Adapter, Search } from './adapter.js';
import type { Device } from './device.js';

export const DEVICES = ['auto', 'cpu', 'webgpu', 'tfjs'] as const;

/**
 * Notes which device it is, and why not another.
 *
 * @param o.device `auto` (the default: a GPU that multiplies matrices faster than the CPU, else the CPU), `cpu` (ONNX
 *   Runtime), `webgpu` (ONNX
 *   Runtime on any adapter, software too) or `tfjs`
 * @param o.threads threads of a session on the CPU; all cores by default
 * @throws UserError for any other name, and where `webgpu` finds no adapter
 */
export async function openDevice(o: {
  device?: string;
  threads?: number;
  reporter: Reporter;
  profile?: string;
}): Promise<Device> {
  const name = o.device ?? 'auto';
  if (!DEVICES.some((known) => known === name))
    throw expected(`one of ${DEVICES.join(', ')}`, '--device', name, 'Leave it out for the best one here.');
  await clearScratch();
  const { device, why } = await opened(name, o);
  o.reporter.heading(`Device: ${device.description}${why ? `; ${why}` : ''}.`);
  return announced(device, o.reporter);
}

/** Preparations that take longer (seconds) are told of. */
const WORTH_TELLING = 0.3;

/** The device, telling how long each preparation took: tracing, building the graph, ONNX Runtime's optimisations. */
function announced(device: Device, reporter: Reporter): Device {
  const timed = async <T>(name: string, prepare: () => Promise<T>): Promise<T> => {
    const started = performance.now();
    const result = await prepare();
    const seconds = (performance.now() - started) / 1000;
    if (seconds > WORTH_TELLING) reporter.note(`Prepared ${name} in ${seconds.toFixed(1)} s.`);
    return result;
  };
  let warned = false;
  return {
    ...device,
    prepare: (program) => timed(program.name, () => device.prepare(program)),
    prepareStep: (program) => {
      if (program.precision === 'f16' && device.name === 'cpu' && !warned) {
        warned = true;
        reporter.warn(
          '--precision f16 is slower on the CPU than f32, which has no float16 arithmetic; it is meant for GPUs.',
        );
      }
      return timed(program.name, () => device.prepareStep(program));
    },
  };
}

type Options = Parameters<typeof openDevice>[0];

async function opened(name: string, o: Options): Promise<{ device: Device; why?: string }> {
  if (name === 'tfjs') return { device: await (await import('./tfjs-device.js')).tfjsDevice(o.reporter) };
  if (name === 'cpu') return { device: await onCpu(o) };
  const search = await searched();
  if (name === 'auto') return automatic(search, o);
  if ('none' in search) {
    throw expected(
      `a GPU with a ${driverKind()} driver`,
      '--device webgpu',
      `none: ${search.none}`,
      'Install the driver, or leave --device out for the CPU.',
    );
  }
  return { device: await onGpu(search.adapter.name) };
}

/** In whose environment a search has been made, it is not made again: the process that guards this one made it. */
const SEARCHED = 'VQGEN_SEARCHED';

async function searched(): Promise<Search> {
  const before = process.env[SEARCHED];
  if (before !== undefined) return JSON.parse(before) as Search;
  return (await import('./adapter.js')).searchAdapter();
}

/**
 * The environment for a process of its own, where the device of this name is a GPU and this process is not that one;
 * else nothing.
 */
export async function guardOf(name = 'auto'): Promise<Record<string, string> | undefined> {
  if ((name !== 'auto' && name !== 'webgpu') || process.env[SEARCHED] !== undefined) return undefined;
  const search = await searched();
  if (!('adapter' in search)) return undefined;
  const { adapter } = search;
  if (name === 'auto' && !isFaster(adapter, adapter.cpuGflops ?? 0)) return undefined;
  return { [SEARCHED]: JSON.stringify(search) };
}

/** The GPU where it is a real one and the faster of the two. */
async function automatic(search: Search, o: Options): Promise<{ device: Device; why?: string }> {
  if ('none' in search) return { device: await onCpu(o), why: search.none };
  const { name, software, gflops, cpuGflops } = search.adapter;
  if (software) return { device: await onCpu(o), why: 'only a software adapter answers for a GPU' };
  const [gpu, cpu] = [gflops, cpuGflops ?? 0].map((rate) => Math.round(rate));
  const rates = `${gpu} GFLOP/s in matrix products, the CPU ${cpu}`;
  if (isFaster(search.adapter, cpuGflops ?? 0)) return { device: await onGpu(name), why: rates };
  return { device: await onCpu(o), why: `the GPU is slower (${name}: ${rates})` };
}

/** Whether `auto` takes an adapter: a real GPU that multiplies faster than the CPU. */
export function isFaster({ software, gflops }: Adapter, cpuGflops: number): boolean {
  return !software && gflops > cpuGflops;
}

const onCpu = async (o: Options): Promise<Device> => (await import('./onnx-device.js')).onnxDevice(o);
const onGpu = async (name: string): Promise<Device> =>
  (await import('./webgpu-device.js')).webgpuDevice(name);

/** What a GPU's driver is called here. */
export function driverKind(): string {
  if (process.platform === 'darwin') return 'Metal';
  return process.platform === 'win32' ? 'Direct3D 12' : 'Vulkan';
}

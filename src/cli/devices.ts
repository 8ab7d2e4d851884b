/** `vqgen devices`: what this machine can compute with, how fast, and how to get more. */
import type { Reporter } from '../base/progress.js';
import { searchAdapter } from '../engine/adapter.js';
import type { Device } from '../engine/device.js';
import { driverKind, isFaster } from '../engine/index.js';
import { onnxDevice } from '../engine/onnx-device.js';
import { productRate } from '../engine/rate.js';
import { tfjsDevice } from '../engine/tfjs-device.js';
import type { Outcome } from './outcome.js';

interface Found {
  readonly device: Device['name'];
  readonly description: string;
  /** 10⁹ operations a second in float32 matrix products; null where nothing answers. */
  readonly gflops: number | null;
}

export async function listDevices(o: { threads?: number; reporter: Reporter }): Promise<Outcome> {
  const measured = async (device: Device) => ({
    device: device.name,
    description: device.description,
    gflops: await productRate(device),
  });
  const cpu = await measured(onnxDevice({ threads: o.threads }));
  const search = await searchAdapter();
  const webgpu: Found =
    'none' in search
      ? { device: 'webgpu', description: `none: ${search.none}`, gflops: null }
      : { device: 'webgpu', description: search.adapter.name, gflops: search.adapter.gflops };
  const tfjs = await measured(await tfjsDevice({ ...o.reporter, warn() {} }));
  const found: Found[] = [cpu, webgpu, tfjs];
  const auto = 'adapter' in search && isFaster(search.adapter, cpu.gflops) ? 'webgpu' : 'cpu';
  return {
    summary: { devices: found, auto },
    lines: [
      ...found.map(({ device, description, gflops }) =>
        [
          device.padEnd(8),
          (gflops === null ? '–' : `${gflops < 10 ? gflops.toFixed(1) : gflops.toFixed(0)} GFLOP/s`).padEnd(
            14,
          ),
          description,
        ].join(''),
      ),
      `--device auto takes ${auto}. Rates are of float32 matrix products.`,
      ...advice(webgpu, tfjs),
    ],
  };
}

function advice(webgpu: Found, tfjs: Found): string[] {
  const lines: string[] = [];
  if (webgpu.gflops === null)
    lines.push(`webgpu takes any GPU with a ${driverKind()} driver: install the one of your GPU's maker.`);
  if (!tfjs.description.includes('tensorflow'))
    lines.push(
      'tfjs takes an NVIDIA GPU after npm install @tensorflow/tfjs-node-gpu, which downloads TensorFlow.',
    );
  return lines;
}

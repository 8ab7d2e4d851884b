/** Devices by name. */
import { expected } from '../base/errors.js';
import type { Reporter } from '../base/progress.js';
import type { Device } from './device.js';

export const DEVICES = ['cpu', 'tfjs'] as const;

/**
 * @param o.device `cpu` (ONNX Runtime, the default) or `tfjs`
 * @param o.threads threads of a session; all cores by default
 * @throws UserError for any other name
 */
export async function openDevice(o: {
  device?: string;
  threads?: number;
  reporter: Reporter;
  profile?: string;
}): Promise<Device> {
  const name = o.device ?? 'cpu';
  if (name === 'tfjs') return (await import('./tfjs-device.js')).tfjsDevice(o.reporter);
  if (name !== 'cpu')
    throw expected(`one of ${DEVICES.join(', ')}`, '--device', name, 'Leave it out for the CPU.');
  return (await import('./onnx-device.js')).onnxDevice(o);
}

/** What commands open first: the run's config, and the device. */
import type { Config } from '../config/schema.js';
import type { Device } from '../engine/device.js';
import type { OpenRun } from '../library/open.js';
import type { Context } from './command.js';

/** @param run must exist: a mistyped one is told before a device is looked for */
export async function openDevice(
  { flags, reporter }: Context,
  run?: string,
  device = flags.device,
): Promise<Device> {
  if (run !== undefined) await savedConfig(run);
  const { threads } = flags;
  const { openDevice } = await import('../engine/index.js');
  return openDevice({ device, threads, reporter });
}

/** As the library opens it. */
export async function openRun(
  { flags, reporter }: Context,
  run: string,
  device = flags.device,
): Promise<OpenRun> {
  const { threads } = flags;
  const { openRun } = await import('../library/open.js');
  return openRun(run, { device, threads, reporter });
}

export async function savedConfig(run: string): Promise<Config> {
  const { readRunConfig } = await import('../checkpoint/run.js');
  return readRunConfig(run);
}

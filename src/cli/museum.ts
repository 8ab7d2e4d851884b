/** `vqgen museum`. */
import { formatDuration } from '../base/progress.js';
import { word } from '../base/shell.js';
import type { Device } from '../engine/device.js';
import type { Context } from './command.js';
import { onlyData } from './flags.js';
import { openDevice } from './open.js';
import type { Outcome } from './outcome.js';

const usualOut = 'museum';

export async function runMuseum(context: Context): Promise<Outcome> {
  const { flags, reporter, signal } = context;
  const { museum } = await import('../museum/museum.js');
  const { budget, seed, out = usualOut } = flags;
  const data = onlyData(flags);
  const how = { openDevice: () => openQuietDevice(context), reporter, signal };
  const { stopped, page, rooms, seconds } = await museum({ out, data, budget, seed, ...how });
  const again = `vqgen museum${out === usualOut ? '' : ` --out ${word(out)}`}`;
  return {
    summary: { out, rooms, seconds, page },
    stopped,
    lines: stopped
      ? [
          `Stopped and saved after ${formatDuration(seconds)}; rooms that stand: ${rooms.length}`,
          `Next: ${again}`,
        ]
      : [`${rooms.length} rooms in ${formatDuration(seconds)}`, page],
  };
}

/** It tells which it is, and then no more: rooms say what they are at. */
async function openQuietDevice(context: Context): Promise<Device> {
  const { reporter } = context;
  let opened = false;
  const note = (line: string): void => {
    if (!opened) reporter.note(line);
  };
  const device = await openDevice({ ...context, reporter: { ...reporter, note } });
  opened = true;
  return device;
}

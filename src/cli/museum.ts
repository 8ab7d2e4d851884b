/** `vqgen museum`. */
import { formatDuration } from '../base/progress.js';
import type { Context } from './command.js';
import { onlyData } from './flags.js';
import { openDevice } from './open.js';
import { type Outcome, word } from './outcome.js';

const usualOut = 'museum';

export async function runMuseum(context: Context): Promise<Outcome> {
  const { flags, reporter, signal } = context;
  const { museum } = await import('../museum/museum.js');
  const { budget, seed, out = usualOut } = flags;
  const data = onlyData(flags);
  const how = { openDevice: () => openDevice(context), reporter, signal };
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

/** A run that is open to draw from: what `loadRun` and the commands that draw begin with. */
import type { Reporter } from '../base/progress.js';
import { runAt } from '../checkpoint/shipped.js';
import type { Device } from '../engine/device.js';
import { openDevice } from '../engine/index.js';
import { type Loaded, loadedFrom } from '../sample/loaded.js';

/** As every function of `sample/` takes it. */
export interface OpenRun {
  /** Its folder. */
  readonly run: string;
  readonly loaded: Loaded;
  readonly device: Device;
  readonly reporter: Reporter;
}

/**
 * @param place a folder, or the name of a run that comes with vqgen: a mistyped one is told before a device is looked
 *   for
 * @throws UserError where there is no such run, or no such device
 */
export async function openRun(
  place: string,
  o: { device?: string; threads?: number; reporter: Reporter },
): Promise<OpenRun> {
  const { reporter } = o;
  const run = runAt(place);
  const loaded = loadedFrom(run, reporter);
  return { run, loaded, device: await openDevice(o), reporter };
}

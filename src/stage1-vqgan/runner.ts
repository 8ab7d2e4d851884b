/**
 * One training run as two programs: until the discriminator acts, a step does not compute it. The state is always
 * that of the whole run: what the present program does not know waits here.
 */
import type { HostTensors } from '../base/tensor.js';
import { checkTensors, type Device, type StepRunner } from '../engine/device.js';
import type { Perceptual } from '../perceptual/distances.js';
import { withoutPartial } from '../train/accumulation.js';
import type { Networks } from './model.js';
import { stage1State } from './state.js';
import { type StepSettings, stage1Step } from './step.js';

/**
 * Runs `stage1Step` without or with the discriminator: with it where an entry has a `disc_step`.
 *
 * @param o.adversarial whether the first step that will be run has it: its program is prepared now, the other when it
 *   is needed
 * @param o.onSwitch called before the discriminator's program is prepared in the middle of a run
 */
export async function stage1Runner(
  networks: Networks,
  perceptual: Perceptual | undefined,
  settings: StepSettings,
  device: Device,
  o: { adversarial: boolean; onSwitch: () => void },
): Promise<StepRunner> {
  const whole = stage1State(networks, settings);
  const parts = (adversarial: boolean): Networks => (adversarial ? networks : { model: networks.model });
  const prepare = async (adversarial: boolean) => {
    const program = stage1Step(parts(adversarial), perceptual, settings);
    return withoutPartial(program, await device.prepareStep(program));
  };

  let { adversarial } = o;
  let runner = await prepare(adversarial);
  let waiting: HostTensors = {};

  const load = (state: HostTensors): void => {
    checkTensors('state', whole, state);
    const known = stage1State(parts(adversarial), settings);
    const part = (inside: boolean) =>
      Object.fromEntries(Object.entries(state).filter(([name]) => name in known === inside));
    runner.load(part(true));
    waiting = part(false);
  };
  const read = async (): Promise<HostTensors> => ({ ...waiting, ...(await runner.read()) });

  return {
    load,
    read,
    dispose: () => runner.dispose(),
    async run(steps) {
      const before = steps.filter(({ disc_step }) => !disc_step);
      const after = steps.slice(before.length);
      const outputs: HostTensors[] = [];
      for (const [part, needed] of [
        [before, false],
        [after, true],
      ] as const) {
        if (part.length === 0) continue;
        if (needed !== adversarial) {
          if (needed) o.onSwitch();
          const state = await read();
          await runner.dispose();
          runner = await prepare(needed);
          adversarial = needed;
          load(state);
        }
        outputs.push(...(await runner.run(part)));
      }
      return outputs;
    },
  };
}

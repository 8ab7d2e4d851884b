/** A device for trainings of one config after another. */
import { createHash } from 'node:crypto';
import type { Device, GraphProgram } from '../../src/engine/device.js';

type Program = Pick<GraphProgram, 'name' | 'inputs' | 'constants'>;

/**
 * Prepares each program (by its name, inputs and constants) once: that takes far longer than a few small steps, which
 * load the state that they begin with.
 */
export function preparingOnce(device: Device): Device {
  const known = new Map<string, Promise<unknown>>();
  const once = <T>({ name, inputs, constants }: Program, prepare: () => Promise<T>): Promise<T> => {
    const sum = createHash('sha256').update(JSON.stringify([name, inputs]));
    for (const [key, { data }] of Object.entries(constants)) sum.update(key).update(data);
    const key = sum.digest('hex');
    const prepared = known.get(key) ?? prepare();
    known.set(key, prepared);
    return prepared as Promise<T>;
  };
  const kept = { dispose: async () => {} };
  return {
    ...device,
    prepare: async (program) => {
      const graph = await once(program, () => device.prepare(program));
      return { ...kept, run: (inputs) => graph.run(inputs) };
    },
    prepareStep: async (program) => {
      const runner = await once(program, () => device.prepareStep(program));
      return {
        ...kept,
        load: (state) => runner.load(state),
        run: (steps) => runner.run(steps),
        read: () => runner.read(),
      };
    },
  };
}

import type { HostTensors } from '../../src/base/tensor.js';
import { float32, scalar } from '../../src/base/tensor.js';
import type { Device, StepProgram } from '../../src/engine/device.js';
import { networksOf } from '../../src/stage1-vqgan/model.js';
import { stage1Runner } from '../../src/stage1-vqgan/runner.js';
import { firstAdversarialStep, startsOf } from '../../src/stage1-vqgan/starts.js';
import { stage1State } from '../../src/stage1-vqgan/state.js';
import { startOf } from '../support/networks.js';
import { tinyConfig } from './tiny.js';

/** A device whose steps add 1 to every value of the state, and keeps a log. */
function countingDevice() {
  const log: string[] = [];
  const prepareStep = async ({ name, state: specs }: StepProgram) => {
    log.push(`prepare ${name}`);
    let state: HostTensors = {};
    return {
      load(given: HostTensors) {
        expect(Object.keys(given).sort()).toEqual(Object.keys(specs).sort());
        state = given;
      },
      async run(steps: readonly HostTensors[]) {
        log.push(`${name} ${steps.map(({ step }) => step!.data[0])}`);
        for (const _ of steps) {
          state = Object.fromEntries(
            Object.entries(state).map(([key, t]) => [
              key,
              float32(
                t.shape,
                Array.from(t.data, (v) => v + 1),
              ),
            ]),
          );
        }
        return steps.map(({ step }) => ({ step: step! }));
      },
      read: async () => state,
      dispose: async () => {
        log.push(`dispose ${name}`);
      },
    };
  };
  return { log, device: { prepareStep } as unknown as Device };
}

const disc = (start: number | 'flat') => ({ disc: { weight: 1, ch: 4, layers: 1, start } });
/** The discriminator acts from step 3 on. */
const steps = (...numbers: number[]) =>
  numbers.map((step) => ({ step: scalar(step), ...(step >= 3 && { disc_step: scalar(step - 2) }) }));
const zeros = (state: HostTensors) =>
  Object.fromEntries(Object.entries(state).map(([name, t]) => [name, float32(t.shape)]));

test.each([
  [0.5, 100, 51],
  [0, 100, 1],
  [1, 100, 1],
  [40, 100, 40],
  [0.34, 10, 4],
  ['flat', 100, 81],
] as const)('disc.start %s of %d steps acts from step %d on', (start, total, first) => {
  expect(firstAdversarialStep(startsOf(tinyConfig({ ...disc(start), steps: total })))).toBe(first);
});

test('without a discriminator there is neither a first step nor any state of one', () => {
  const config = tinyConfig();
  expect(firstAdversarialStep(startsOf(config))).toBe(Number.POSITIVE_INFINITY);
  expect(Object.keys(startOf(config)).filter((name) => name.startsWith('disc'))).toEqual([]);
});

describe('one run as two programs', () => {
  const config = tinyConfig({ ...disc(3), steps: 10 });
  const networks = networksOf(config);

  test('a call that crosses the start is split; the discriminator is untouched before it', async () => {
    const { device, log } = countingDevice();
    const switches: string[] = [];
    const runner = await stage1Runner(networks, undefined, config.stage1, device, {
      adversarial: false,
      onSwitch: () => switches.push('on'),
    });
    runner.load(zeros(startOf(config)));
    const outputs = await runner.run(steps(1, 2, 3, 4, 5));
    expect(outputs.map(({ step }) => step!.data[0])).toEqual([1, 2, 3, 4, 5]);
    await runner.run(steps(6));
    const state = await runner.read();
    await runner.dispose();
    expect(log).toEqual([
      'prepare stage1-ae',
      'stage1-ae 1,2',
      'dispose stage1-ae',
      'prepare stage1-gan',
      'stage1-gan 3,4,5',
      'stage1-gan 6',
      'dispose stage1-gan',
    ]);
    expect(switches).toEqual(['on']);
    expect(Object.keys(state).sort()).toEqual(Object.keys(stage1State(networks, config.stage1)).sort());
    expect(state['model.encoder.conv_in.bias']!.data[0]).toBe(6);
    expect(state['disc.conv_in.bias']!.data[0]).toBe(4);
    expect(state['disc_adam.m.conv_in.bias']!.data[0]).toBe(4);
  });

  test('a run resumed after the start never prepares the other program', async () => {
    const { device, log } = countingDevice();
    const runner = await stage1Runner(networks, undefined, config.stage1, device, {
      adversarial: true,
      onSwitch: () => {},
    });
    runner.load(startOf(config));
    await runner.run(steps(4));
    expect(log).toEqual(['prepare stage1-gan', 'stage1-gan 4']);
  });

  test('a state of another shape is refused', async () => {
    const runner = await stage1Runner(networks, undefined, config.stage1, countingDevice().device, {
      adversarial: false,
      onSwitch: () => {},
    });
    const { 'disc.conv_in.bias': _, ...rest } = startOf(config);
    expect(() => runner.load(rest)).toThrow('disc.conv_in.bias is missing');
  });
});

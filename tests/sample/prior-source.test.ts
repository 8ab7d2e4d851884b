/**
 * A run whose codes lie in several grids, as far as drawing goes: a drawer and a decoder that note what they are
 * asked.
 */
import '../support/cpu.js';
import { silent } from '../../src/base/progress.js';
import { float32, type HostTensors } from '../../src/base/tensor.js';
import { configSchema } from '../../src/config/schema.js';
import { openDevice } from '../../src/engine/index.js';
import { type Models, priorSource } from '../../src/sample/prior-source.js';
import type { Drawing } from '../../src/stage2-transformer/prior.js';
import { bottom, pixelcnnOf, top } from '../support/pixelcnn.js';

const config = configSchema.parse({ data: { size: 8 } });
const device = await openDevice({ device: 'tfjs', reporter: silent });

async function drawn(only?: string, grids = [top, bottom]) {
  const prior = pixelcnnOf(grids);
  const asked: Drawing[] = [];
  const decoded: HostTensors[] = [];
  const models: Models = {
    config,
    prior,
    weights: {},
    open: async ({ decodeBatch }) => ({
      drawer: {
        async draw({ codes }, o) {
          asked.push(o);
          return codes.map((_, i) => i % 5);
        },
        async dispose() {},
      },
      decoder: {
        async run(codes) {
          decoded.push(codes);
          return { images: float32([decodeBatch, 8, 8, 3]) };
        },
        async dispose() {},
      },
    }),
  };
  const source = await priorSource({ run: 'none', only, device, reporter: silent }, models);
  await source.draw(0, () => {});
  await source.dispose();
  return { name: source.name, places: source.places, greedyFrom: asked[0]!.greedyFrom, decoded };
}

test('--only: the likeliest codes from the place behind the grid on', async () => {
  const { decoded, ...all } = await drawn();
  expect(all).toEqual({ name: 'seed-0', places: 26, greedyFrom: undefined });
  expect(Object.entries(decoded[0]!).map(([name, { shape }]) => [name, ...shape.slice(1)])).toEqual([
    ['top', 2, 3],
    ['bottom', 4, 5],
  ]);
  expect(await drawn('top')).toMatchObject({ name: 'seed-0_only-top', greedyFrom: 6 });
  expect(await drawn('bottom')).toMatchObject({ name: 'seed-0_only-bottom', greedyFrom: 26 });
});

test('what is no grid is refused, and a single one', async () => {
  await expect(drawn('middle')).rejects.toThrow(
    'Expected one of top, bottom for --only but received middle.',
  );
  await expect(drawn('top', [top])).rejects.toThrow(
    'Expected nothing for --only but received top, where the codes of an image are a single grid.',
  );
});

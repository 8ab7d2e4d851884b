import { loadConfig } from '../../src/config/load.js';
import { compileStep } from '../../src/engine/compile.js';
import { GraphBuilder } from '../../src/engine/graph.js';
import { openSession, release } from '../../src/engine/sessions.js';
import { webgpuTarget } from '../../src/engine/target.js';
import { loadPerceptual } from '../../src/perceptual/load.js';
import { stepOf } from '../support/networks.js';

test('what was pruned is made again when it is asked for again', () => {
  const graph = new GraphBuilder();
  const shared = graph.ints([3]);
  const derived = graph.derived(shared, 'twice', () => graph.ints([6]));
  const node = () => graph.op('Identity', [graph.ints([3])], {}, { shape: [1] });
  const before = node();
  const kept = graph.op('Neg', [graph.float(2)], {}, { shape: [] });
  graph.prune([kept]);
  expect(graph.nodes.map(({ op }) => op)).toEqual(['Neg']);

  const again = node();
  expect(again.name).not.toBe(before.name);
  expect(graph.initializers.has(graph.ints([3]).name)).toBe(true);
  expect(graph.derived(shared, 'twice', () => graph.ints([6])).name).not.toBe(derived.name);
  expect(graph.op('Neg', [graph.float(2)], {}, { shape: [] }).name).toBe(kept.name);
});

test.each([false, true])(
  'the default config’s step, as a GPU gets it, is a graph that ONNX Runtime takes (adversarial: %s)',
  async (adversarial) => {
    const config = loadConfig({ config: 'defaults' });
    const program = stepOf(config, await loadPerceptual(config), { adversarial });
    const { model } = await compileStep(program, { loopBelow: 0, target: webgpuTarget });
    const session = await openSession(model, (folder) => ({
      graphOptimizationLevel: 'disabled',
      extra: { session: { model_external_initializers_file_folder_path: folder } },
    }));
    await release(session);
  },
);

import { parseConfig } from '../../src/config/load.js';
import { loadPerceptual } from '../../src/perceptual/load.js';

test('weights that are not there: what to do instead', async () => {
  const perceptual = { kind: 'lpips-vgg16', weights: '/none.safetensors' };
  await expect(loadPerceptual(parseConfig({ stage1: { perceptual } }, 'test'))).rejects.toThrow(
    'Expected a safetensors file for stage1.perceptual.weights but received /none.safetensors, which does not exist. Name a file with the weights, or do without: --set stage1.perceptual.kind=random-features.',
  );
});

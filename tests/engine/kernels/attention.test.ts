/** Self-attention without a gradient against TF.js' cpu backend, as ONNX Runtime tiles it and as plain operators. */
import { onnxDevice } from '../../../src/engine/onnx-device.js';
import { cpuTarget, type Target } from '../../../src/engine/target.js';
import { forwardSelfAttention } from '../../../src/nn/attention.js';
import { expectParity, noise } from '../../support/parity.js';

const deviceOf = (o: Partial<Target>) => onnxDevice({ threads: 2, target: { ...cpuTarget, ...o } });
const ways = [
  ['tiled', deviceOf({ tiledAttention: true })],
  ['composed', deviceOf({ tiledAttention: false })],
] as const;
/** Sequences, tokens, heads, width: one token, odd lengths. */
const shapes = [
  [1, 1, 1, 4],
  [2, 7, 2, 8],
  [3, 65, 4, 32],
  [2, 130, 2, 16],
] as const;

describe.each(ways)('%s', (_, device) => {
  test.each(shapes)('%p sequences of %p tokens, %p heads, width %p', async (batch, tokens, heads, width) => {
    await expectParity(
      `attention ${tokens}`,
      {
        inputs: { qkv: noise([batch * tokens, 3 * width], 'qkv', 2) },
        fn: ({ qkv }) => forwardSelfAttention(qkv!, heads, tokens),
        gradient: false,
      },
      device,
    );
  });
});

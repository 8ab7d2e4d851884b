/** The README that lies beside exported ONNX files: what they take and give, and Python that uses them. */
import type { StoredPrecision } from '../../base/half.js';
import type { Config } from '../../config/schema.js';
import { PORTABLE } from '../../engine/onnx.js';
import { codeSide } from '../../stage1-vqgan/model.js';
import { listed, type TrainedPrior } from '../../stage2-transformer/model.js';
import type { Prior } from '../../stage2-transformer/prior.js';
import { license } from './metadata.js';
import { drawnAs, scriptNames } from './script.js';

/** Markdown. The code samples as the config says; without a prior it encodes a picture and decodes it. */
export function readmeOf(config: Config, o: { precision: StoredPrecision; prior?: TrainedPrior }): string {
  const { size } = config.data;
  const side = codeSide(config);
  const { codes } = config.stage1;
  const half = o.precision === 'f16' ? ' Weights are stored in half precision; computing is in float32.' : '';
  const [script, does] = o.prior
    ? [scriptNames.sampling, 'draws pictures']
    : [scriptNames.coding, 'encodes a picture and decodes it'];
  return `# Exported by vqgen

ONNX, opset ${PORTABLE.opset}, IR version ${PORTABLE.irVersion}, standard operators only; \`batch\` is any number. The files' metadata holds the config and all sizes.${half} ${license}

- \`encoder.onnx\`: \`images\` float32 [batch, 3, ${size}, ${size}], RGB, 0 to 1 → \`codes\` int64 [batch, ${side}, ${side}], 0 to ${codes - 1}
- \`decoder.onnx\`: \`codes\` → \`images\`
${o.prior ? `${priorLine(o.prior.model)}\n` : ''}- \`${script}\`: ${does} in Node.js (\`npm install onnxruntime-node\`; \`node ${script}\`), and in a browser once its import line says \`onnxruntime-web\`

Python (\`pip install numpy pillow onnxruntime\`):
\`\`\`python
${o.prior ? pythonSampling(config, o.prior.model) : pythonCoding(config)}
\`\`\`
`;
}

function priorLine({ condition: { classes }, portable }: Prior): string {
  const { places, codes, begins, ...sequence } = portable.sequence;
  const cache = (length: string) => `[${sequence.cache('batch', length)}]`;
  const ofClasses =
    classes.length > 0 ? `, or from ${begins.ofFirstClass} on for a class (${listed(classes)}),` : '';
  return `- \`prior.onnx\`: \`ids\` int64 [batch], the token before: ${begins.without}${ofClasses} at the start, then codes row by row; \`past\` float32 ${cache('length')} of the \`length\` tokens before that, 0 to ${places - 1} → \`logits\` float32 [batch, ${codes}], \`present\` ${cache('length + 1')}, the next \`past\``;
}

const pythonHead = `import os; os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')
import numpy as np, onnxruntime as ort
from PIL import Image`;

/** A draw is the first code at which the sum of probabilities, likeliest code first, passes a random share of the whole. */
function pythonSampling(config: Config, prior: Prior): string {
  const { empty, begins, tokens, side, temperature, topK, topP, cfgScale } = drawnAs(config, prior);
  const { classes } = prior.condition;
  const start = begins.without;
  const first =
    classes.length > 0 ? `${begins.ofFirstClass} + np.arange(n) % ${classes.length}` : `np.full(n, ${start})`;
  const guided = cfgScale !== 1;
  return `${pythonHead}
prior, decoder = (ort.InferenceSession(name + '.onnx') for name in ('prior', 'decoder'))
n, temperature, top_k, top_p, codes = 4, ${temperature}, ${topK}, ${topP}, []
ids = ${guided ? `np.append(${first}, np.full(n, ${start}))  # with a class, and without` : first}
past = np.zeros((${empty(guided ? '2 * n' : 'n')}), np.float32)
for _ in range(${tokens}):
    logits, past = prior.run(['logits', 'present'], {'ids': ids, 'past': past})
${guided ? `    logits = logits[n:] + ${cfgScale} * (logits[:n] - logits[n:])  # guidance\n` : ''}    order = np.argsort(-logits)[:, :top_k or None]  # the likeliest first
    p = np.exp((np.take_along_axis(logits, order, 1) - logits.max(1, keepdims=True)) / temperature, dtype=float)
    sums = (p * (p.cumsum(1) - p < top_p * p.sum(1, keepdims=True))).cumsum(1)
    codes.append(order[np.arange(n), (sums <= np.random.rand(n, 1) * sums[:, -1:]).sum(1)])
    ids = ${guided ? 'np.tile(codes[-1], 2)' : 'codes[-1]'}
images, = decoder.run(['images'], {'codes': np.stack(codes, 1).reshape(n, ${side}, ${side})})
Image.fromarray((255 * np.concatenate(images, 2).transpose(1, 2, 0)).round().astype('uint8')).save('samples.png')`;
}

function pythonCoding({ data: { size } }: Config): string {
  return `${pythonHead}
encoder, decoder = (ort.InferenceSession(name + '.onnx') for name in ('encoder', 'decoder'))
photo = Image.open('photo.jpg').convert('RGB').resize((${size}, ${size}))
images = np.asarray(photo, np.float32).transpose(2, 0, 1)[None] / 255
codes, = encoder.run(['codes'], {'images': images})
images, = decoder.run(['images'], {'codes': codes})
Image.fromarray((255 * images[0].transpose(1, 2, 0)).round().astype('uint8')).save('decoded.png')`;
}

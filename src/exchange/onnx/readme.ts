/** The README that lies beside exported ONNX files: what they take and give, and code that uses them. */

import type { StoredPrecision } from '../../base/half.js';
import type { Config } from '../../config/schema.js';
import { PORTABLE } from '../../engine/onnx.js';
import { codeSide } from '../../stage1-vqgan/model.js';
import { gptSizes, type TrainedPrior } from '../../stage2-transformer/model.js';
import { license } from './metadata.js';

/** Markdown. The code samples with the config's temperature and top_k; without a prior it encodes a picture and decodes it. */
export function readmeOf(config: Config, o: { precision: StoredPrecision; prior?: TrainedPrior }): string {
  const { size } = config.data;
  const side = codeSide(config);
  const { layers, heads, width, codes, tokens } = gptSizes(config);
  const cache = `${2 * layers}, batch, ${heads}`;
  const perHead = width / heads;
  const weights =
    o.precision === 'f16' ? 'Weights are stored in half precision; everything is computed in float32.' : '';
  const length = `\`length\` is the number of tokens before, 0 to ${tokens - 1}`;
  const free = `\`batch\` is as large as you like${o.prior ? `; ${length}` : ''}.`;
  const classes = o.prior?.classes ?? [];
  const starts =
    classes.length === 0
      ? codes
      : `${codes}, or for a class ${classes.map((name, i) => `${codes + 1 + i} (${name})`).join(', ')},`;
  const rows = [
    [
      'encoder',
      `\`images\` float32 [batch, 3, ${size}, ${size}], RGB, 0 to 1`,
      `\`codes\` int64 [batch, ${side}, ${side}], 0 to ${codes - 1}`,
    ],
    ['decoder', '`codes`', '`images`'],
    ...(o.prior
      ? [
          [
            'prior',
            `\`ids\` int64 [batch], the token before: ${starts} at the start, then codes row by row; \`past\` float32 [${cache}, length, ${perHead}]`,
            `\`logits\` float32 [batch, ${codes}], \`present\` [${cache}, length + 1, ${perHead}], the next \`past\``,
          ],
        ]
      : []),
  ];
  return `# Exported by vqgen

ONNX, opset ${PORTABLE.opset}, IR version ${PORTABLE.irVersion}, standard operators only. ${free} ${weights}
The files' metadata holds the config and all sizes. ${license}

| file | in | out |
|---|---|---|
${rows.map(([name, takes, gives]) => `| ${name}.onnx | ${takes} | ${gives} |`).join('\n')}

Python (\`pip install numpy pillow onnxruntime\`):

\`\`\`python
${(o.prior ? pythonSampling : pythonCoding)(config)}
\`\`\`

Node.js (\`npm install onnxruntime-node\`); in a browser import \`onnxruntime-web\` instead:

\`\`\`js
${(o.prior ? scriptSampling : scriptCoding)(config)}
\`\`\`
`;
}

interface Numbers {
  readonly side: number;
  readonly codes: number;
  readonly tokens: number;
  readonly temperature: number;
  /** Among how many of the likeliest codes is drawn. */
  readonly among: number;
  /** Shape of the empty cache, for Python and JavaScript alike. */
  readonly empty: string;
}

function numbersOf(config: Config): Numbers {
  const { layers, heads, width, codes, tokens } = gptSizes(config);
  const { temperature, top_k } = config.sample;
  const empty = `${2 * layers}, n, ${heads}, 0, ${width / heads}`;
  return { side: codeSide(config), codes, tokens, temperature, among: top_k || codes, empty };
}

/** A Gumbel number added to each logit makes the largest one a draw from the softmax. */
function pythonSampling(config: Config): string {
  const { side, codes, tokens, temperature, among, empty } = numbersOf(config);
  return `import numpy as np, onnxruntime as ort
from PIL import Image
prior, decoder = (ort.InferenceSession(name + '.onnx') for name in ('prior', 'decoder'))
n, codes = 4, []
ids, past = np.full(n, ${codes}, np.int64), np.zeros((${empty}), np.float32)
for _ in range(${tokens}):
    logits, past = prior.run(['logits', 'present'], {'ids': ids, 'past': past})
    logits = np.where(logits < np.sort(logits)[:, -${among}, None], -np.inf, logits / ${temperature})  # the ${among} likeliest
    ids = (logits + np.random.gumbel(size=logits.shape)).argmax(1)
    codes.append(ids)
images, = decoder.run(['images'], {'codes': np.stack(codes, 1).reshape(n, ${side}, ${side})})
Image.fromarray((255 * np.concatenate(images, 2).transpose(1, 2, 0)).round().astype('uint8')).save('samples.png')`;
}

function scriptSampling(config: Config): string {
  const { side, codes, tokens, temperature, among, empty } = numbersOf(config);
  return `import * as ort from 'onnxruntime-node';
const open = (name) => ort.InferenceSession.create(name + '.onnx');
const [prior, decoder] = [await open('prior'), await open('decoder')];
const n = 4, codes = Array.from({ length: n }, () => []);
const int64 = (values, dims) => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);
const draw = (logits) => { // among the ${among} likeliest
  const least = logits.toSorted()[logits.length - ${among}];
  const noisy = logits.map((x) => (x < least ? -Infinity : x / ${temperature} - Math.log(-Math.log(Math.random()))));
  return noisy.indexOf(noisy.reduce((a, b) => Math.max(a, b)));
};
let ids = new Array(n).fill(${codes}), past = new ort.Tensor('float32', new Float32Array(0), [${empty}]);
for (let t = 0; t < ${tokens}; t++) {
  const { logits, present } = await prior.run({ ids: int64(ids, [n]), past });
  ids = ids.map((_, i) => draw(logits.data.slice(i * ${codes}, (i + 1) * ${codes})));
  ids.forEach((id, i) => codes[i].push(id));
  past = present;
}
const { images } = await decoder.run({ codes: int64(codes.flat(), [n, ${side}, ${side}]) });
console.log(images.dims, images.data); // red, green and blue planes of each picture, 0 to 1`;
}

function pythonCoding({ data: { size } }: Config): string {
  return `import numpy as np, onnxruntime as ort
from PIL import Image
encoder, decoder = (ort.InferenceSession(name + '.onnx') for name in ('encoder', 'decoder'))
photo = Image.open('photo.jpg').convert('RGB').resize((${size}, ${size}))
images = np.asarray(photo, np.float32).transpose(2, 0, 1)[None] / 255
codes, = encoder.run(['codes'], {'images': images})
images, = decoder.run(['images'], {'codes': codes})
Image.fromarray((255 * images[0].transpose(1, 2, 0)).round().astype('uint8')).save('decoded.png')`;
}

function scriptCoding({ data: { size } }: Config): string {
  return `import * as ort from 'onnxruntime-node';
const open = (name) => ort.InferenceSession.create(name + '.onnx');
const [encoder, decoder] = [await open('encoder'), await open('decoder')];
const pixels = new Float32Array(3 * ${size} * ${size}); // red, green and blue planes of a picture, 0 to 1
const { codes } = await encoder.run({ images: new ort.Tensor('float32', pixels, [1, 3, ${size}, ${size}]) });
const { images } = await decoder.run({ codes });
console.log(codes.data, images.data);`;
}

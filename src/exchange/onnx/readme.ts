/** The README that lies beside exported ONNX files: what they take and give, and Python that uses them. */
import type { StoredPrecision } from '../../base/half.js';
import type { Config } from '../../config/schema.js';
import { PORTABLE } from '../../engine/onnx.js';
import { bottleneckOf } from '../../stage1-vqgan/bottlenecks/index.js';
import { cellsIn } from '../../stage1-vqgan/grids.js';
import type { Latent } from '../../stage1-vqgan/latent.js';
import { unknown } from '../../stage2-transformer/canvas.js';
import { cacheAxes } from '../../stage2-transformer/file-drawer.js';
import { listed, type TrainedPrior } from '../../stage2-transformer/model.js';
import type { InPasses, Prior, Stepwise } from '../../stage2-transformer/prior.js';
import { type DrawnAs, drawnAs, vocabulariesDiffer } from './drawn-as.js';
import { guidance, ofCodes } from './guidance-script.js';
import { aroundClasses, type Gaussian, latentPorts, license } from './metadata.js';
import { passesPython } from './passes-script.js';
import { scriptOf } from './script.js';

/**
 * Markdown. The code draws as the config says where the run has what latents are drawn with; else it encodes a picture
 * and decodes it.
 */
export function readmeOf(config: Config, o: { precision: StoredPrecision; prior?: TrainedPrior }): string {
  const { size } = config.data;
  const { latent } = bottleneckOf(config);
  const half = o.precision === 'f16' ? ' Weights are stored in half precision; computing is in float32.' : '';
  const { name: script, does } = scriptOf(config, o.prior?.model);
  const ports = Object.entries(latentPorts(latent));
  const names = ports.map(([name]) => `\`${name}\``).join(', ');
  const given = ports.map(([name, what]) => `\`${name}\` ${what}`).join('; ');
  const around = aroundClasses(latent);
  const drawnWith = o.prior ? priorLine(config, o.prior.model) : around && meansLine(around);
  return `# Exported by vqgen

ONNX, opset ${PORTABLE.opset}, IR version ${PORTABLE.irVersion}, standard operators only; \`batch\` is any number. The files' metadata holds the config and all sizes.${half} ${license}

- \`encoder.onnx\`: \`images\` float32 [batch, 3, ${size}, ${size}], RGB, 0 to 1 → ${given}
- \`decoder.onnx\`: ${names} → \`images\`${aboutNumbers[latent.kind]}
${drawnWith ? `${drawnWith}\n` : ''}- \`${script}\`: ${does} in Node.js (\`npm install onnxruntime-node\`; \`node ${script}\`), and in a browser once its import line says \`onnxruntime-web\`

Python (\`pip install numpy pillow onnxruntime\`):
\`\`\`python
${o.prior ? pythonSampling(config, o.prior.model) : latent.kind === 'gaussian' ? pythonNormal(config, latent) : pythonCoding(config, latent)}
\`\`\`
`;
}

const aboutNumbers: Record<Latent['kind'], string> = {
  codes: '',
  gaussian:
    '. The encoder gives the mean of what an image may be coded as; normal random numbers decode to new images',
  plain: '. Nothing is known of how these numbers are spread: random ones need not decode to an image',
};

function meansLine({ shape, classes }: Gaussian): string {
  const numbers = classes.length === 1 ? '0' : `0 to ${classes.length - 1}`;
  return `- \`means.onnx\`: \`labels\` int64 [batch], ${numbers} (${listed(classes)}) → \`means\` float32 [batch, ${shape.join(', ')}], around which the class's normal random numbers lie`;
}

function priorLine(config: Config, prior: Prior): string {
  const { classes } = prior.condition;
  const drawn = drawnAs(config, prior);
  const { asked, grids, codes } = drawn;
  const cells = cellsIn(grids);
  const names = grids.map(({ name }) => `\`${name}\``).join(', then ');
  const order = grids.length > 1 ? `${names}, each row by row` : 'row by row';
  const fewer = vocabulariesDiffer(drawn) ? ' (of a grid with fewer codes the first count)' : '';
  if (asked.by !== 'steps') {
    const labels =
      classes.length > 0
        ? `; \`labels\` int64 [batch], numbers of classes (${listed(classes)}), or ${unknown} without one`
        : '';
    const [without, by] =
      asked.by === 'passes'
        ? [`${unknown} where unknown`, 'all that are known']
        : ['any at places not drawn yet', 'those before it'];
    return `- \`prior.onnx\`: \`codes\` int64 [batch, ${cells}], ${order}, ${without}${labels} → \`logits\` float32 [batch, ${cells}, ${codes}], of each place's code by ${by}${fewer}`;
  }
  const { begins } = asked;
  const axes = (length: string) => `[${cacheAxes(asked.cache, 'batch', length)}]`;
  const ofClasses =
    classes.length > 0 ? `, or from ${begins.ofFirstClass} on for a class (${listed(classes)}),` : '';
  return `- \`prior.onnx\`: \`ids\` int64 [batch], the token before: ${begins.without}${ofClasses} at the start, then codes ${order}; \`past\` float32 ${axes('length')} of the \`length\` tokens before that, 0 to ${cells - 1} → \`logits\` float32 [batch, ${codes}]${fewer}, \`present\` ${axes('length + 1')}, the next \`past\``;
}

const pythonHead = `import os; os.environ.setdefault('ORT_DISABLE_TELEMETRY', '1')
import numpy as np, onnxruntime as ort
from PIL import Image`;

const pythonShow =
  "Image.fromarray((255 * np.concatenate(images, 2).transpose(1, 2, 0)).round().astype('uint8')).save('samples.png')";

/**
 * A draw is the first code at which the sum of probabilities, likeliest code first, passes a random share of the
 * whole.
 */
function pythonSampling(config: Config, prior: Prior): string {
  const drawn = drawnAs(config, prior);
  const { asked, grids, temperature, topK, topP, passes } = drawn;
  const cells = grids.map(({ height, width }) => height * width);
  const first = (grid: number) => cells.slice(0, grid).reduce((sum, n) => sum + n, 0);
  const part = (grid: number) => (grids.length > 1 ? `[:, ${first(grid)}:${first(grid + 1)}]` : '');
  const latent = grids.map(
    ({ name, height, width }, i) => `'${name}': codes${part(i)}.reshape(n, ${height}, ${width})`,
  );
  const set = passes
    ? `n, temperature, top_k, top_p, steps = 4, ${temperature}, ${topK}, ${topP}, ${passes.steps}`
    : `n, temperature, top_k, top_p, codes = 4, ${temperature}, ${topK}, ${topP}, []`;
  return `${pythonHead}
prior, decoder = (ort.InferenceSession(name + '.onnx') for name in ('prior', 'decoder'))
${set}
${asked.by === 'passes' ? passesPython(asked, drawn) : pythonPlaces(asked, drawn)}
images, = decoder.run(['images'], {${latent.join(', ')}})
${pythonShow}`;
}

/** Statements that make of the list `codes` codes [n, T], place after place. */
function pythonPlaces(asked: Exclude<DrawnAs['asked'], InPasses>, drawn: DrawnAs): string {
  const { grids, cfgScale, growth } = drawn;
  const { python: scale } = guidance(growth, cfgScale, ofCodes(cellsIn(grids)));
  const { begin, logits } = asked.by === 'steps' ? pythonSteps(asked, drawn) : pythonCanvas(drawn);
  const cells = grids.map(({ height, width }) => height * width);
  const differ = vocabulariesDiffer(drawn);
  return `${begin}
for ${differ ? `vocab in np.repeat([${grids.map(({ vocab }) => vocab).join(', ')}], [${cells.join(', ')}])` : `_ in range(${cellsIn(grids)})`}:
${logits}
${cfgScale !== 1 ? `    logits = logits[n:] + (${scale}) * (logits[:n] - logits[n:])  # guidance\n` : ''}${differ ? '    logits = logits[:, :vocab]\n' : ''}    order = np.argsort(-logits)[:, :top_k or None]  # the likeliest first
    p = np.exp((np.take_along_axis(logits, order, 1) - logits.max(1, keepdims=True)) / temperature, dtype=float)
    sums = (p * (p.cumsum(1) - p < top_p * p.sum(1, keepdims=True))).cumsum(1)
    codes.append(order[np.arange(n), (sums <= np.random.rand(n, 1) * sums[:, -1:]).sum(1)])
codes = np.stack(codes, 1)`;
}

/** Statements before the first code, and those that give `logits`. */
interface Asking {
  readonly begin: string;
  readonly logits: string;
}

function pythonSteps({ cache, begins }: Stepwise, { classes, cfgScale }: DrawnAs): Asking {
  const start = begins.without;
  const first = classes > 0 ? `${begins.ofFirstClass} + np.arange(n) % ${classes}` : `np.full(n, ${start})`;
  const both = cfgScale !== 1;
  return {
    begin: `ids = ${both ? `np.append(${first}, np.full(n, ${start}))  # with a class, and without` : first}
past = np.zeros((${cacheAxes(cache, both ? '2 * n' : 'n', 0)}), np.float32)`,
    logits: `    ids = ${both ? 'np.tile(codes[-1], 2)' : 'codes[-1]'} if codes else ids
    logits, past = prior.run(['logits', 'present'], {'ids': ids, 'past': past})`,
  };
}

function pythonCanvas({ grids, classes, cfgScale }: DrawnAs): Asking {
  const first = `np.arange(n) % ${classes}`;
  const both = cfgScale !== 1;
  const labels = `labels = ${both ? `np.append(${first}, np.full(n, ${unknown}))  # with a class, and without` : first}\n`;
  return {
    begin: `${classes > 0 ? labels : ''}canvas = np.zeros((${both ? '2 * n' : 'n'}, ${cellsIn(grids)}), np.int64)`,
    logits: `    canvas[:, :len(codes)] = ${both ? 'np.tile(codes, 2).T' : 'np.transpose(codes)'}
    logits = prior.run(['logits'], {'codes': canvas${classes > 0 ? ", 'labels': labels" : ''}})[0][:, len(codes)]`,
  };
}

function pythonNormal({ sample: { temperature } }: Config, { shape, classes }: Gaussian): string {
  const [open, mean] =
    classes.length > 0
      ? [
          "means, decoder = (ort.InferenceSession(name + '.onnx') for name in ('means', 'decoder'))",
          `means.run(['means'], {'labels': np.arange(n) % ${classes.length}})[0]`,
        ]
      : ["decoder = ort.InferenceSession('decoder.onnx')", '0'];
  return `${pythonHead}
${open}
n, temperature = 4, ${temperature}
latent = ${mean} + temperature * np.random.randn(n, ${shape.join(', ')})
images, = decoder.run(['images'], {'latent': latent.astype(np.float32)})
${pythonShow}`;
}

function pythonCoding({ data: { size } }: Config, latent: Latent): string {
  const names = Object.keys(latentPorts(latent));
  const listOf = names.map((name) => `'${name}'`).join(', ');
  const given = names.map((name) => `'${name}': ${name}`).join(', ');
  return `${pythonHead}
encoder, decoder = (ort.InferenceSession(name + '.onnx') for name in ('encoder', 'decoder'))
photo = Image.open('photo.jpg').convert('RGB').resize((${size}, ${size}))
images = np.asarray(photo, np.float32).transpose(2, 0, 1)[None] / 255
${names.join(', ')}${names.length > 1 ? '' : ','} = encoder.run([${listOf}], {'images': images})
images, = decoder.run(['images'], {${given}})
Image.fromarray((255 * images[0].transpose(1, 2, 0)).round().astype('uint8')).save('decoded.png')`;
}

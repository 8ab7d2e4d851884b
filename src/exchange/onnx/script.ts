/** The JavaScript that lies beside exported ONNX files: it draws as the run's config says, in Node.js or in a browser. */
import type { Config } from '../../config/schema.js';
import { bottleneckOf } from '../../stage1-vqgan/bottlenecks/index.js';
import { type Latent, latentSpecs } from '../../stage1-vqgan/latent.js';
import { codeSide } from '../../stage1-vqgan/model.js';
import type { Portable, Prior } from '../../stage2-transformer/prior.js';
import { type Gaussian, portableOf } from './metadata.js';

export const scriptNames = { sampling: 'sample.mjs', coding: 'reconstruct.mjs' } as const;

/** The script of a run: it draws where the run has what latents are drawn with, and else encodes a picture and decodes it. */
export function scriptOf(config: Config, prior?: Prior): { name: string; does: string; text: string } {
  const { latent } = bottleneckOf(config);
  const drawing = prior
    ? samplingScript(config, prior)
    : latent.kind === 'gaussian' && normalScript(config, latent);
  return drawing
    ? { name: scriptNames.sampling, does: 'draws pictures', text: drawing }
    : {
        name: scriptNames.coding,
        does: 'encodes a picture and decodes it',
        text: codingScript(config, latent),
      };
}

/** What a script has to know to draw as `vqgen sample` does without options. */
export interface DrawnAs {
  /** Shape of the empty cache, for Python and JavaScript alike. */
  empty(batch: string): string;
  /** The token before the first code. */
  readonly begins: Portable['sequence']['begins'];
  readonly tokens: number;
  readonly side: number;
  readonly temperature: number;
  /** 0 is off. */
  readonly topK: number;
  /** 1 is off. */
  readonly topP: number;
  /** 1 without guidance. */
  readonly cfgScale: number;
}

export function drawnAs(config: Config, prior: Prior): DrawnAs {
  const { condition } = prior;
  const { places, cache, begins } = portableOf(prior).sequence;
  const { temperature, top_k: topK, top_p: topP, cfg_scale } = config.sample;
  const guided = condition.classes.length > 0 && config.prior.class_dropout > 0;
  return {
    empty: (batch) => cache(batch, 0),
    begins,
    tokens: places,
    side: codeSide(config),
    temperature,
    topK,
    topP,
    cfgScale: guided ? cfg_scale : 1,
  };
}

/** Draws the classes that the prior knows in turn. */
function samplingScript(config: Config, prior: Prior): string {
  const { empty, begins, tokens, side, temperature, topK, topP, cfgScale } = drawnAs(config, prior);
  const { classes } = prior.condition;
  const start = begins.without;
  const first =
    classes.length > 0 ? `(_, i) => ${begins.ofFirstClass} + (i % ${classes.length})` : `() => ${start}`;
  const guided = cfgScale !== 1;
  return `${head('Draws pictures with prior.onnx and decoder.onnx', scriptNames.sampling)}
const [n, temperature, topK, topP] = [4, ${temperature}, ${topK}, ${topP}];

/** The code of a row of logits: among the topK likeliest (0: all), of those the likeliest that together have the probability topP. */
function draw(logits) {
  const order = [...logits.keys()].sort((a, b) => logits[b] - logits[a]).slice(0, topK || undefined);
  const weights = order.map((code) => Math.exp((logits[code] - logits[order[0]]) / temperature));
  const whole = weights.reduce((a, b) => a + b);
  let kept = 0, sum = 0;
  while (kept < weights.length && sum < topP * whole) sum += weights[kept++];
  let at = 0;
  for (let left = Math.random() * sum - weights[0]; left >= 0 && at < kept - 1; ) left -= weights[++at];
  return order[at];
}

const [prior, decoder] = [await open('prior.onnx'), await open('decoder.onnx')];
const int64 = (values, dims) => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);
const codes = Array.from({ length: n }, () => []);
let ids = Array.from({ length: n }, ${first});
let past = new ort.Tensor('float32', new Float32Array(0), [${empty(guided ? '2 * n' : 'n')}]);
for (let place = 0; place < ${tokens}; place++) {
${guided ? guidedStep(start, cfgScale) : plainStep}
  past = present;
  ids = rows.map(draw);
  ids.forEach((id, i) => codes[i].push(id));
}
const { images } = await decoder.run({ codes: int64(codes.flat(), [n, ${side}, ${side}]) });
await show(images, 'samples.bmp');
export { codes, images };
${show}`;
}

const plainStep = `  const { logits, present } = await prior.run({ ids: int64(ids, [n]), past });
  const size = logits.dims[1];
  const rows = ids.map((_, i) => logits.data.subarray(i * size, (i + 1) * size));`;

const guidedStep = (
  start: number,
  scale: number,
): string => `  // With its class and, in the second half, without.
  const both = [...ids, ...(place === 0 ? ids.map(() => ${start}) : ids)];
  const { logits, present } = await prior.run({ ids: int64(both, [2 * n]), past });
  const size = logits.dims[1];
  const row = (i) => logits.data.subarray(i * size, (i + 1) * size);
  const guided = (asked, free) => asked.map((x, k) => free[k] + ${scale} * (x - free[k]));
  const rows = ids.map((_, i) => guided(row(i), row(n + i)));`;

/** Numbers around N(0, I), or around the means of the classes in turn. */
function normalScript({ sample: { temperature } }: Config, { shape, classes }: Gaussian): string {
  const normal = `const [n, temperature] = [4, ${temperature}];
const normal = () => temperature * Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random());`;
  const drawn =
    classes.length > 0
      ? `const labels = new ort.Tensor('int64', BigInt64Array.from({ length: n }, (_, i) => BigInt(i % ${classes.length})), [n]);
const { means: around } = await (await open('means.onnx')).run({ labels });
const latent = new ort.Tensor('float32', around.data.map((mean) => mean + normal()), around.dims);`
      : `const dims = [n, ${shape.join(', ')}];
const latent = new ort.Tensor('float32', Float32Array.from({ length: dims.reduce((a, b) => a * b) }, normal), dims);`;
  const files = classes.length > 0 ? 'means.onnx and decoder.onnx' : 'decoder.onnx';
  return `${head(`Draws pictures with ${files}`, scriptNames.sampling)}
${normal}
${drawn}
const { images } = await (await open('decoder.onnx')).run({ latent });
await show(images, 'samples.bmp');
export { latent, images };
${show}`;
}

function codingScript({ data: { size } }: Config, latent: Latent): string {
  const names = Object.keys(latentSpecs(latent, 1)).join(', ');
  return `${head('Encodes a picture with encoder.onnx and decodes what that gives with decoder.onnx', scriptNames.coding)}
const [encoder, decoder] = [await open('encoder.onnx'), await open('decoder.onnx')];
// Planes of red, green and blue, 0 to 1. Put a picture of yours here; this one gets redder to the right and greener downwards.
const area = ${size} * ${size};
const pixels = new Float32Array(3 * area);
for (let p = 0; p < area; p++) {
  pixels[p] = (p % ${size}) / ${size};
  pixels[area + p] = p / area;
}
const { ${names} } = await encoder.run({ images: new ort.Tensor('float32', pixels, [1, 3, ${size}, ${size}]) });
const { images } = await decoder.run({ ${names} });
await show(images, 'decoded.bmp');
export { ${names}, images };
${show}`;
}

/** Of Node.js; named here as text, not imported. */
const runtime = 'onnxruntime-node';

const head = (what: string, name: string): string => `/**
 * ${what}, in this folder.
 * Node.js: npm install ${runtime}; node ${name}
 * Browser: <script type="module" src="${name}">, with 'onnxruntime-web', or the address of its ort.min.mjs, in the next line.
 */
import * as ort from '${runtime}';
if (globalThis.process) process.env.ORT_DISABLE_TELEMETRY ??= '1'; // what runs here is nobody else's business

const open = (file) => ort.InferenceSession.create(file);`;

/** Of both scripts. Windows' BMP is the one format that everybody opens and nobody has to compress. */
const show = `
/** Pictures [n, 3, height, width], 0 to 1, beside one another: on a canvas in a browser, else in a file. */
async function show({ data, dims: [n, , height, width] }, file) {
  const browser = 'document' in globalThis;
  const pixels = new Uint8ClampedArray(4 * n * height * width).fill(255);
  for (let i = 0; i < data.length; i++) {
    const x = i % width, y = Math.floor(i / width) % height;
    const plane = Math.floor(i / width / height), picture = Math.floor(plane / 3), colour = plane % 3;
    const at = 4 * ((y * n + picture) * width + x);
    pixels[at + (browser ? colour : 2 - colour)] = 255 * data[i];
  }
  if (browser) {
    const canvas = Object.assign(document.createElement('canvas'), { width: n * width, height });
    canvas.getContext('2d').putImageData(new ImageData(pixels, n * width, height), 0, 0);
    document.body.append(canvas);
  } else {
    const header = new DataView(new ArrayBuffer(54)); // of a BMP file: blue, green, red, 255; the upper row first
    header.setUint16(0, 0x424d);
    const fields = { 2: 54 + pixels.length, 10: 54, 14: 40, 18: n * width, 22: -height, 26: 0x200001 };
    for (const [place, value] of Object.entries(fields)) header.setInt32(Number(place), value, true);
    const { writeFileSync } = await import('node:fs');
    writeFileSync(file, Buffer.concat([header, pixels].map(({ buffer }) => Buffer.from(buffer))));
    console.log(file);
  }
}
`;

/**
 * The JavaScript that lies beside exported ONNX files: it draws as the run's config says, in Node.js or in a browser.
 */
import type { Config } from '../../config/schema.js';
import { bottleneckOf } from '../../stage1-vqgan/bottlenecks/index.js';
import { cellsIn } from '../../stage1-vqgan/grids.js';
import { type Latent, latentSpecs } from '../../stage1-vqgan/latent.js';
import { unknown } from '../../stage2-transformer/canvas.js';
import { cacheAxes } from '../../stage2-transformer/file-drawer.js';
import type { InPasses, Prior, Stepwise } from '../../stage2-transformer/prior.js';
import { type DrawnAs, drawnAs } from './drawn-as.js';
import { guidance, ofCodes } from './guidance-script.js';
import type { Gaussian } from './metadata.js';
import { passesScript } from './passes-script.js';

export const scriptNames = { sampling: 'sample.mjs', coding: 'reconstruct.mjs' } as const;

/**
 * The script of a run: it draws where the run has what latents are drawn with, and else encodes a picture and decodes
 * it.
 */
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

/** Draws the classes that the prior knows in turn. */
function samplingScript(config: Config, prior: Prior): string {
  const drawn = drawnAs(config, prior);
  const { asked, grids, temperature, topK, topP, passes } = drawn;
  const sizes = grids.map(
    ({ name, height, width, vocab }) =>
      `{ name: '${name}', height: ${height}, width: ${width}, vocab: ${vocab} }`,
  );
  const order = passes ? 'on one canvas, end to end, row by row' : 'drawn one after another, row by row';
  return `${head('Draws pictures with prior.onnx and decoder.onnx', scriptNames.sampling)}
const [n, temperature, topK, topP${passes ? ', steps' : ''}] = [4, ${temperature}, ${topK}, ${topP}${passes ? `, ${passes.steps}` : ''}];
const grids = [${sizes.join(', ')}]; // ${order}

/**
 * The code of a row of logits: among the topK likeliest (0: all), of those the likeliest that together have the
 * probability topP.
 */
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
${asked.by === 'passes' ? passesScript(asked, drawn) : placesScript(asked, drawn)}

const latent = {};
let at = 0;
for (const { name, height, width } of grids) {
  const area = height * width;
  latent[name] = int64(codes.flatMap((row) => row.slice(at, at + area)), [n, height, width]);
  at += area;
}
const { images } = await decoder.run(latent);
await show(images, 'samples.bmp');
export { codes, images };
${show}`;
}

/** Statements that leave the code of every cell in `codes`, of as many arrays as pictures, place after place. */
function placesScript(asked: Exclude<DrawnAs['asked'], InPasses>, drawn: DrawnAs): string {
  const { grids, codes, cfgScale, growth } = drawn;
  const { begin, logits, at } = asked.by === 'steps' ? bySteps(asked, drawn) : byCanvas(drawn);
  const guided = cfgScale !== 1;
  return `const codes = Array.from({ length: n }, () => []);
${begin}

/** Of each picture, the logits of its next code${guided ? ': guided, from those without its class' : ''}. */
async function next() {
${logits}
  const row = (i) => logits.data.subarray(${at}, ${at} + ${codes});
${
  guided
    ? `  const scale = ${guidance(growth, cfgScale, ofCodes(cellsIn(grids))).js};
  const guided = (asked, free) => asked.map((x, k) => free[k] + scale * (x - free[k]));
  return codes.map((_, i) => guided(row(i), row(n + i)));`
    : '  return codes.map((_, i) => row(i));'
}
}

for (const { height, width, vocab } of grids)
  for (let cell = 0; cell < height * width; cell++)
    for (const [i, logits] of (await next()).entries()) codes[i].push(draw(logits.subarray(0, vocab)));`;
}

/**
 * Statements of `placesScript`: before the first code, and those that give `logits`, those of picture i from `at` on.
 */
interface Asking {
  readonly begin: string;
  readonly logits: string;
  readonly at: string;
}

function bySteps({ cache, begins }: Stepwise, { codes, classes, cfgScale }: DrawnAs): Asking {
  const start = classes > 0 ? `${begins.ofFirstClass} + (i % ${classes})` : `${begins.without}`;
  const both = cfgScale !== 1;
  const batch = both ? '2 * n' : 'n';
  return {
    begin: `let past = new ort.Tensor('float32', new Float32Array(0), [${cacheAxes(cache, batch, 0)}]);`,
    logits: `  const ids = codes.map((row, i) => row.at(-1) ?? ${start});
${both ? `  ids.push(...codes.map((row) => row.at(-1) ?? ${begins.without}));\n` : ''}  const { logits, present } = await prior.run({ ids: int64(ids, [${batch}]), past });
  past = present;`,
    at: `i * ${codes}`,
  };
}

function byCanvas({ grids, codes, classes, cfgScale }: DrawnAs): Asking {
  const cells = cellsIn(grids);
  const both = cfgScale !== 1;
  const batch = both ? '2 * n' : 'n';
  const free = both ? `.concat(codes.map(() => ${unknown}))` : ''; // the same pictures without their classes
  const labels = `const labels = int64(codes.map((_, i) => i % ${classes})${free}, [${batch}]);`;
  return {
    begin: classes > 0 ? labels : '',
    logits: `  const place = codes[0].length;
  const canvas = ${both ? '[...codes, ...codes]' : 'codes'}.flatMap((row) => [...row, ...new Array(${cells} - place).fill(0)]);
  const { logits } = await prior.run({ codes: int64(canvas, [${batch}, ${cells}])${classes > 0 ? ', labels' : ''} });`,
    at: `(i * ${cells} + place) * ${codes}`,
  };
}

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
// Planes of red, green and blue, 0 to 1. Put a picture of yours here; this one gets redder to the right and greener
// downwards.
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
 * ${what}, in this folder. Node.js: npm install ${runtime}; node ${name} Browser: <script type="module"
 * src="${name}">, with 'onnxruntime-web', or the address of its ort.min.mjs, in the next line.
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

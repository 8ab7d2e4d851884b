// node scripts/lineage.mjs --ae RUN --vae RUN [--out FOLDER]: pictures decoded from N(0, I) by an autoencoder and by a
// VAE, as grids, and their Fréchet distances (fd_vqgen) from the validation pictures of the first run: whether there
// is something to draw from between the codes of pictures.
import path from 'node:path';
import { parseArgs } from 'node:util';
import { silent } from '../dist/base/progress.js';
import { stream } from '../dist/base/rng.js';
import { float32, sizeOf } from '../dist/base/tensor.js';
import { readRunConfig } from '../dist/checkpoint/run.js';
import { loadModel } from '../dist/checkpoint/store.js';
import { streamEvalImages } from '../dist/data/batches.js';
import { readableSplits } from '../dist/data/dataset.js';
import { imageAt, writeGrid } from '../dist/data/grid.js';
import { onnxDevice } from '../dist/engine/onnx-device.js';
import { vqgenSpace } from '../dist/evaluate/features.js';
import { frechetDistance, Moments } from '../dist/evaluate/frechet.js';
import { rounded } from '../dist/evaluate/observe.js';
import { bottleneckOf } from '../dist/stage1-vqgan/bottlenecks/index.js';
import { modelOf } from '../dist/stage1-vqgan/model.js';
import { decodeProgram } from '../dist/stage1-vqgan/programs.js';

const { values } = parseArgs({
  options: { ae: { type: 'string' }, vae: { type: 'string' }, out: { type: 'string', default: '.' } },
});
const [batch, drawn, shown, columns] = [16, 768, 40, 10];
const device = onnxDevice();
const { data } = readRunConfig(values.ae);
const space = await vqgenSpace(device, data.size, batch);

const real = new Moments(space.width);
const { val } = await readableSplits(data, 'data.dir', silent);
for await (const { images } of streamEvalImages(val, { size: data.size, batchSize: batch, skipped: [] }))
  if (images.shape[0] === batch) real.add(await space.extract(images));

const result = {};
for (const name of ['ae', 'vae']) {
  const config = readRunConfig(values[name]);
  const { tensors, step } = await loadModel(values[name], 'stage1');
  const { shape } = bottleneckOf(config).latent;
  const decoder = await device.prepare(decodeProgram(modelOf(config), tensors, batch));
  const rng = stream(0, 'lineage');
  const moments = new Moments(space.width);
  const cells = [];
  for (let at = 0; at < drawn; at += batch) {
    const latent = float32([batch, ...shape]);
    for (let i = 0; i < batch * sizeOf(shape); i++) latent.data[i] = rng.normal();
    const images = rounded((await decoder.run({ latent })).images);
    moments.add(await space.extract(images));
    for (let i = 0; i < batch && cells.length < shown; i++) cells.push(imageAt(images, i));
  }
  await decoder.dispose();
  const file = path.join(values.out, `${name}-from-normal.png`);
  await writeGrid(file, cells, { size: data.size, columns });
  result[name] = { step, fd_vqgen: frechetDistance(moments.gaussian(), real.gaussian()), file };
}
await space.dispose();
console.log(JSON.stringify({ ...result, ratio: result.ae.fd_vqgen / result.vae.fd_vqgen }));

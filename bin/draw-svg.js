// Draws SVG files for vqgen in a process of its own, for whoever sent them to end when one takes too long.
import sharp from 'sharp';

sharp.concurrency(1);
sharp.cache(false);
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {}); // The sender decides.

const open = (file) => sharp(file, { failOn: 'error' }).autoOrient();

/** What each kind of picture is read as. */
const drawings = {
  photographs: (image, fit) => image.flatten({ background: 'white' }).toColourspace('srgb').resize(fit).raw(),
  labels: (image, fit) =>
    image
      .toColourspace('srgb')
      .resize({ ...fit, kernel: 'nearest' })
      .raw(),
  depth: (image, fit) =>
    image.flatten({ background: 'white' }).toColourspace('grey16').resize(fit).raw({ depth: 'ushort' }),
};

async function answer({ file, kind, width, height }) {
  if (width === undefined) {
    const { format, autoOrient } = await open(file).metadata();
    if (format !== 'svg') throw new Error('Input buffer contains unsupported image format');
    return autoOrient;
  }
  const fit = { width, height, fit: 'cover', position: 'centre' };
  const { data, info } = await drawings[kind](open(file), fit).toBuffer({ resolveWithObject: true });
  return { data, channels: info.channels };
}

process.on('message', (request) =>
  answer(request).then(
    (reply) => process.send({ reply }),
    (error) => process.send({ message: error.message }),
  ),
);
process.send('ready');

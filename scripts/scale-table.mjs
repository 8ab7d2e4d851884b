// The table of docs/scale.md: how long a training takes on N GPUs, by a model of computing and talking. What was
// measured (scripts/scale.py, on one config each) and what is assumed stand apart. `node scripts/scale-table.mjs`

/** Of one picture's step, GFLOP forwards and backwards; gradients of all processes in float32. */
const measured = {
  'photos-64': {
    pictures: 100_000,
    stage1: { gflop: 2.756, parameters: 2_834_179, epochs: 100, batch: 512 },
    prior: { gflop: 1.309, parameters: 3_700_480, epochs: 200, batch: 1024 },
  },
  'photos-128': {
    pictures: 1_281_167,
    stage1: { gflop: 11.025, parameters: 2_834_179, epochs: 20, batch: 512 },
    prior: { gflop: 22.347, parameters: 15_081_600, epochs: 50, batch: 1024 },
  },
  'imagenet-f16': {
    pictures: 1_281_167,
    stage1: { gflop: 1383.014, parameters: 74_907_332, epochs: 20, batch: 256 },
    prior: { gflop: 465.467, parameters: 304_671_744, epochs: 100, batch: 512 },
  },
};

/** One GPU with 989 TFLOP/s in bfloat16 (an H100's data sheet, dense), of which a training is assumed to use this. */
const peak = 989e12;
const used = { stage1: 0.2, prior: 0.35 };
/** Bytes a second: between the GPUs of a machine, and between machines (100 Gbit/s). Seconds of a small sum. */
const within = 200e9;
const between = 12.5e9;
const smallSum = 40e-6;
/** Small sums of a step (30 with a discriminator of two layers, by scripts/scale.py), and the backward pass's share. */
const sums = { stage1: 40, prior: 2 };
const hidden = 0.5;
const perMachine = 8;
const watts = 700;
/** No step of so many small launches is shorter. */
const shortest = 10e-3;
/** Cores that read pictures for each GPU, and seconds of one for a picture (500 × 375 JPEG, measured by Pillow). */
const readers = 12;
const reading = 6e-3;

const hours = (seconds) => seconds / 3600;

/** Seconds of a step on N GPUs: computing, and of the gradients' way what the backward pass does not hide; or reading. */
function step(kind, { gflop, parameters, batch }, n) {
  const compute = ((batch / n) * gflop * 1e9) / (peak * used[kind]);
  const ring = (2 * (Math.min(n, perMachine) - 1)) / Math.min(n, perMachine);
  const machines = Math.ceil(n / perMachine);
  const far = machines > 1 ? (2 * (machines - 1)) / machines : 0;
  const talk = 4 * parameters * (ring / within + far / between);
  const own = Math.max(shortest, compute) + Math.max(0, talk - hidden * compute);
  const read = kind === 'stage1' ? ((batch / n) * reading) / readers : 0;
  return Math.max(own + (n > 1 ? sums[kind] * smallSum : 0), read);
}

const short = (value) => (value >= 100 ? value.toFixed(0) : value.toPrecision(2));

console.log('| | epochs, batch | 1 GPU | 8 GPUs | 64 GPUs (8 × 8) | GPU hours on 8 | kWh |');
console.log('|---|---|---|---|---|---|---|');
for (const [config, { pictures, ...stages }] of Object.entries(measured)) {
  for (const [kind, stage] of Object.entries(stages)) {
    const steps = (pictures * stage.epochs) / stage.batch;
    const [one, eight, many] = [1, 8, 64].map((n) => hours(steps * step(kind, stage, n)));
    const cells = [one, eight, many].map((h) => (h < 1 ? `${short(h * 60)} min` : `${short(h)} h`));
    const name = `\`${config}\`, ${pictures.toLocaleString('en')} pictures, ${kind === 'prior' ? 'prior' : 'stage 1'}`;
    const energy = (eight * 8 * watts) / 1000;
    console.log(
      `| ${name} | ${stage.epochs}, ${stage.batch} | ${cells.join(' | ')} | ${short(8 * eight)} | ${short(energy)} |`,
    );
  }
}

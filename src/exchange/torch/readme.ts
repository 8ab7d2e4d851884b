/** The README of a PyTorch project that `vqgen export` wrote. */
import { word } from '../../base/shell.js';
import type { StageName } from '../../checkpoint/run.js';
import type { Config } from '../../config/schema.js';

/** @param o.steps the step that each stage goes on from. @param o.tokens whether they lie there */
export function readme(
  { data, stage1, prior }: Config,
  o: { run: string; steps: Readonly<Partial<Record<StageName, number>>>; tokens: boolean },
): string {
  const { run, steps, tokens } = o;
  const folder = data.dir === null ? ' --data PHOTOS/' : '';
  const without =
    steps.prior === undefined || tokens
      ? ''
      : '. The run has no tokens,\n  so that none lie here: `vqgen tokenize` writes a folder of them';
  return `# A run of vqgen, to be trained on by PyTorch

Written by \`vqgen export --to torch\` from
\`${run}\`. The files here are plain PyTorch: stage1.py and prior.py hold the
models and their steps, train.py the loop. Checkpoints, \`metrics.jsonl\` and \`config.json\` are vqgen's own.

    pip install torch pillow   # Python 3.10 and PyTorch 2.4 or newer; tried with 2.13
    python train.py stage1${folder}${steps.prior === undefined ? '' : `\n    python train.py prior${tokens ? '' : ' --tokens TOKENS/'}`}

On N GPUs of one machine:

    torchrun --standalone --nproc-per-node N --max-restarts 3 train.py stage1${folder} --bf16 --compile

On M machines, on each of them, with the address of the first, and this folder and the pictures where all see them:

    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1   # else a restart finds addresses of processes that are gone
    torchrun --nnodes M --nproc-per-node N --rdzv-backend c10d --rdzv-endpoint HOST:29500 --max-restarts 3 \\
      train.py stage1${folder} --bf16 --compile

- A batch (\`stage1.batch_size\` ${stage1.batch_size}${steps.prior === undefined ? '' : `, \`prior.batch_size\` ${prior.batch_size}`}) is that of all processes together; each has an equal share of it, so that N
  must divide it. Steps, learning rates and what codes become do not depend on N. For more work a step set it higher in
  \`config.json\`, and \`lr\` with it.
- Pictures are those of the folder in \`config.json\`; \`--data\` and \`--val-data\` name others${without}.
- \`--bf16\` computes the networks in bfloat16, \`--compile\` compiles them; \`--steps N\` trains to another step.
- Every ${stage1.checkpoint_every} steps (\`checkpoint_every\`) a checkpoint is written, whole or not at all. A process that
  dies is started again by torchrun, from the last one; so is the same command after anything else that ended it.
  Ctrl-C and SIGTERM save first; torchrun then reports what it was told to end, and ends what takes over 30 s to save.
- A mistake in the command is one sentence, which torchrun repeats for each process and try, with words of its own.
- Dropout draws other masks than vqgen's, and pictures that are resized differ by a grey level or so: all else at a
  step is the same.

Back in vqgen, to train on, tokenize or sample there:

    vqgen import ${word('.')} --run checkpoints/back
`;
}

/** The commands that take weights in and give them out. */
import type { Command, Context } from './command.js';
import { defaultRun } from './flags.js';
import type { Outcome } from './outcome.js';

export const exchangeCommands: readonly Command[] = [
  {
    name: 'import',
    describe: 'Take over weights: taming-transformers, LPIPS, safetensors of vqgen, its PyTorch projects',
    flags: ['config', 'run', 'size', 'data', 'set', 'out', 'take-over'],
    standards: {
      run: '',
      config: "what the tensors' shapes tell",
      size: 'as in the YAML, or 256',
      out: 'lpips-vgg16.safetensors',
    },
    meanings: {
      config: { placeholder: 'FILE', describe: 'YAML of the project that the checkpoint comes from' },
      run: { placeholder: 'DIR', describe: 'new run folder, of all but LPIPS' },
      data: { placeholder: 'DIR', describe: 'folder of images that the run is to go on with' },
      out: { placeholder: 'FILE', describe: 'where the weights of LPIPS go' },
    },
    words: {
      usage: 'CHECKPOINT…',
      describe:
        'a .ckpt, .pth, .pt or .safetensors file; of LPIPS two: VGG16 and the linear heads; of vqgen also the prior; or the folder of a PyTorch project that vqgen wrote',
      most: 2,
    },
    examples: [
      [
        'vqgen import last.ckpt --config project.yaml --run checkpoints/f16',
        'a VQModel, GumbelVQ or Net2NetTransformer; then: vqgen reconstruct, tokenize, sample',
      ],
      [
        'vqgen import vgg16-397923af.pth vgg.pth --out lpips-vgg16.safetensors',
        'for perceptual.kind: lpips-vgg16',
      ],
      [
        'vqgen import mine/model.safetensors mine/prior.safetensors --run checkpoints/again',
        'what vqgen export --to safetensors wrote under its own names',
      ],
      ['vqgen import trained-on/ --run checkpoints/back', 'a project of vqgen export --to torch'],
    ],
    run: importWeights,
  },
  {
    name: 'export',
    describe: 'Write a trained run in the format of others',
    flags: ['to', 'run', 'out', 'precision'],
    standards: { out: "the run's folder of that name" },
    meanings: {
      out: { placeholder: 'DIR', describe: 'a folder that is new or holds an export' },
      precision: { placeholder: 'NAME', describe: 'f32, or f16: weights in half precision, half the size' },
    },
    examples: [
      [
        'vqgen export --to onnx --run checkpoints/mine',
        'ONNX files and a README, into checkpoints/mine/onnx',
      ],
      ['vqgen export --to onnx --out exported/ --precision f16', 'weights in half precision: half the size'],
      [
        'vqgen export --to torch --run checkpoints/mine --out project/',
        'a PyTorch project, which torchrun trains on over many GPUs',
      ],
      [
        'vqgen export --to web --run checkpoints/mine',
        'a page that samples in the browser; needs onnxruntime-web',
      ],
      ['vqgen export --to taming --run checkpoints/mine', 'for training on with PyTorch'],
      ['vqgen export --to run --precision f16 --run checkpoints/mine --out mine', 'a small run to hand on'],
    ],
    readsRun: true,
    run: exportRun,
  },
];

async function importWeights({ flags, words, reporter }: Context): Promise<Outcome> {
  const { importWords } = await import('./import.js');
  return importWords(words, flags, reporter);
}

async function exportRun({ flags, reporter }: Context): Promise<Outcome> {
  const { exportRun } = await import('./export.js');
  return exportRun(flags, { run: flags.run ?? defaultRun, reporter });
}

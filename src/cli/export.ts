/** `vqgen export`: a trained run in the format of others. */
import path from 'node:path';
import { expected } from '../base/errors.js';
import type { StoredPrecision } from '../base/half.js';
import type { Reporter } from '../base/progress.js';
import { word } from '../base/shell.js';
import { type Flags, formats, precisionAmong } from './flags.js';
import type { Outcome } from './outcome.js';

interface ExportCall {
  readonly run: string;
  readonly out: string | undefined;
  readonly precision: StoredPrecision | undefined;
  readonly reporter: Reporter;
}

const targets: Readonly<Record<(typeof formats)[number], (call: ExportCall) => Promise<Outcome>>> = {
  onnx: toOnnx,
  web: toWeb,
  taming: (call) => toPublished('taming', call),
  safetensors: (call) => toPublished('safetensors', call),
  run: toRun,
  torch: toTorch,
};

/** @throws UserError without a known `--to`, and for integers, which have no place in these files */
export async function exportRun(
  flags: Flags,
  { run, reporter }: { run: string; reporter: Reporter },
): Promise<Outcome> {
  const { to, out } = flags;
  const format = formats.find((name) => name === to);
  const precision = precisionAmong(['f32', 'f16'], flags);
  if (format) return targets[format]({ run, out, precision, reporter });
  throw expected(
    `one of ${formats.join(', ')}`,
    '--to',
    to ?? 'nothing',
    'For example: vqgen export --to onnx',
  );
}

async function toOnnx(call: ExportCall): Promise<Outcome> {
  const { exportOnnx } = await import('../exchange/onnx/export.js');
  const summary = await exportOnnx(call);
  const { files, bytes, opset } = summary;
  return {
    summary,
    lines: [
      `${(bytes / 1e6).toFixed(1)} MB, ONNX opset ${opset}: ${files.join(', ')}`,
      `How to use them: ${files.at(-1)}`,
    ],
  };
}

async function toWeb(call: ExportCall): Promise<Outcome> {
  const { exportWeb } = await import('../exchange/web/export.js');
  const summary = await exportWeb(call);
  const { out, bytes, runtimeBytes } = summary;
  const megabytes = (n: number) => `${(n / 1e6).toFixed(1)} MB`;
  return {
    summary,
    lines: [
      `${megabytes(bytes)} in ${out}, of which ONNX Runtime Web has ${megabytes(runtimeBytes)}. Any server of files serves it, for example:`,
      `python3 -m http.server 8000 --directory ${word(out)}`,
    ],
  };
}

async function toPublished(to: 'taming' | 'safetensors', call: ExportCall): Promise<Outcome> {
  const { exportTaming } = await import('../exchange/export.js');
  const summary = await exportTaming({ ...call, to });
  return {
    summary,
    lines: [
      `${summary.tensors} tensors${summary.losses ? ', discriminator and LPIPS among them' : ''}: ${summary.files.join(', ')}`,
    ],
  };
}

async function toRun(call: ExportCall): Promise<Outcome> {
  const { exportRunFolder } = await import('../exchange/share.js');
  const summary = await exportRunFolder(call);
  return { summary, lines: [`${(summary.bytes / 1e6).toFixed(1)} MB in ${summary.out}`] };
}

async function toTorch({ precision, ...call }: ExportCall): Promise<Outcome> {
  if (precision === 'f16')
    throw expected('f32', '--precision with --to torch', precision, 'Training goes on from it.');
  const { exportTorch } = await import('../exchange/torch/export.js');
  const summary = await exportTorch(call);
  const { out, bytes, steps } = summary;
  const stages = Object.entries(steps).map(([stage, step]) => `${stage} at step ${step}`);
  return {
    summary,
    lines: [
      `${(bytes / 1e6).toFixed(1)} MB in ${out}: ${stages.join(', ')}`,
      `How to train it, and how it comes back: ${path.join(out, 'README.md')}`,
    ],
  };
}

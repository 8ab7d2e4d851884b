/** `vqgen export`: a trained run in the format of others. */
import { expected } from '../base/errors.js';
import type { StoredPrecision } from '../base/half.js';
import type { Reporter } from '../base/progress.js';
import type { Flags } from './flags.js';
import type { Outcome } from './outcome.js';

interface ExportCall {
  readonly run: string;
  readonly flags: Pick<Flags, 'out' | 'precision'>;
  readonly reporter: Reporter;
}

/** What `--to` may be. */
const targets: Readonly<Record<string, (call: ExportCall) => Promise<Outcome>>> = {
  onnx: toOnnx,
  taming: (call) => toPublished('taming', call),
  safetensors: (call) => toPublished('safetensors', call),
  run: toRun,
};

/** @throws UserError without a known `--to` */
export async function exportRun(to: string | undefined, call: ExportCall): Promise<Outcome> {
  const target = Object.entries(targets).find(([name]) => name === to)?.[1];
  if (target) return target(call);
  throw expected(
    `one of ${Object.keys(targets).join(', ')}`,
    '--to',
    to ?? 'nothing',
    'For example: vqgen export --to onnx',
  );
}

async function toOnnx({ run, flags: { out, precision }, reporter }: ExportCall): Promise<Outcome> {
  const { exportOnnx } = await import('../exchange/onnx/export.js');
  const summary = await exportOnnx({ run, out, precision: ofFloats(precision), reporter });
  const { files, bytes, opset } = summary;
  return {
    summary,
    lines: [
      `${(bytes / 1e6).toFixed(1)} MB, ONNX opset ${opset}: ${files.join(', ')}`,
      `How to use them: ${files.at(-1)}`,
    ],
  };
}

async function toPublished(
  to: 'taming' | 'safetensors',
  { run, flags: { out, precision }, reporter }: ExportCall,
): Promise<Outcome> {
  const { exportTaming } = await import('../exchange/export.js');
  const summary = await exportTaming({ run, to, out, precision: ofFloats(precision), reporter });
  return {
    summary,
    lines: [
      `${summary.tensors} tensors${summary.losses ? ', discriminator and LPIPS among them' : ''}: ${summary.files.join(', ')}`,
    ],
  };
}

async function toRun({ run, flags: { out, precision }, reporter }: ExportCall): Promise<Outcome> {
  const { exportRunFolder } = await import('../exchange/share.js');
  const summary = await exportRunFolder({ run, out, precision: ofFloats(precision), reporter });
  return { summary, lines: [`${(summary.bytes / 1e6).toFixed(1)} MB in ${summary.out}`] };
}

/** @throws UserError for integers */
function ofFloats(precision: Flags['precision']): StoredPrecision | undefined {
  if (precision !== 'int8') return precision;
  throw expected('f32 or f16', '--precision', precision, 'Integers have no place in these files.');
}

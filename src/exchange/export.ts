/**
 * `vqgen export --to taming|safetensors`: a run under the names and in the layout of taming-transformers, and as
 * safetensors one of a form that they have not under vqgen's own.
 */
import { existsSync } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import { stringify } from 'yaml';
import { writeFolderAtomic } from '../base/files.js';
import type { StoredPrecision } from '../base/half.js';
import type { Reporter } from '../base/progress.js';
import type { HostTensors } from '../base/tensor.js';
import { exportFolder, readRunConfig, runPaths } from '../checkpoint/run.js';
import { writeSafetensors } from '../checkpoint/safetensors.js';
import type { Config } from '../config/schema.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import { gridsOf } from '../stage1-vqgan/model.js';
import { loadTrainedParts, type TrainedPrior } from '../stage2-transformer/model.js';
import { loadTold, publishedParts, publishedTold, usedByTold, usedFile } from './export-told.js';
import { type Kept, readKept } from './kept.js';
import { misfitOf } from './misfit.js';
import { neverDrawn } from './never-drawn.js';
import { checkOut } from './out-folder.js';
import { isOwn, writeOwnNames } from './own-names.js';
import { firstStage } from './taming-config.js';
import { type PublishedPrior, parsePrior, parseTokenizer, publishedPrior } from './taming-names.js';
import { lossTensors, priorTensors } from './taming-tensors.js';
import { loss, tokenizerProject, transformerProject } from './taming-yaml.js';
import { inPrecision, type Written, writeTorch } from './torch-write.js';
import { copiesOf } from './widen.js';

export interface ExportOptions {
  readonly run: string;
  readonly to: 'taming' | 'safetensors';
  /** A folder; the run's `taming` or `safetensors` unless given. */
  readonly out?: string;
  /** `f32` unless given. */
  readonly precision?: StoredPrecision;
  readonly reporter: Reporter;
}

export interface ExportSummary {
  readonly run: string;
  readonly to: 'taming' | 'safetensors';
  readonly out: string;
  readonly files: readonly string[];
  readonly tensors: number;
  readonly precision: StoredPrecision;
  /** Whether discriminator and LPIPS are in it, so that the published code goes on training with them. */
  readonly losses: boolean;
  readonly prior: boolean;
}

const isOurs = (name: string): boolean =>
  /^(vqgan|transformer)\.(ckpt|safetensors|yaml)$|^(model|prior|condition)\.safetensors$|^(condition-)?used\.npy$/.test(
    name,
  );

/** The first line of a project's YAML, by which it is told from those of others. */
const mark = '# Written by vqgen export.';

async function isExport(folder: string): Promise<boolean> {
  const own = path.join(folder, 'model.safetensors');
  if (existsSync(own)) return isOwn(own);
  const yaml = path.join(folder, 'vqgan.yaml');
  return existsSync(yaml) && (await fs.readFile(yaml, 'utf8')).startsWith(mark);
}

/**
 * @throws UserError, having written nothing, for a run without a tokenizer, or `taming` of one of a form that the
 * published code has not
 */
export async function exportTaming(o: ExportOptions): Promise<ExportSummary> {
  const { run, to, precision = 'f32', reporter } = o;
  const out = path.resolve(o.out ?? exportFolder(run, to));
  const saved = readRunConfig(run);
  await checkOut({ run, out, to }, { isOurs, isExport });
  const { tokenizer, prior } = await loadTrainedParts(run, reporter);
  const told = await loadTold(run, prior, reporter);
  const misfit = misfitOf(saved, prior, told?.config);
  if (misfit && to === 'taming') throw misfit;
  if (misfit) {
    reporter.note(
      'taming-transformers has no such model: the tensors have the names that they have in vqgen.',
    );
    const written = await writeOwnNames(out, { config: saved, tokenizer, prior, told, precision });
    return { run, to, out, ...written, precision, losses: false, prior: prior !== undefined };
  }
  const folders = runPaths(run);
  const {
    config,
    kept,
    tensors: model,
  } = publishedParts(saved, tokenizer, await readKept(folders.stage1, parseTokenizer));
  const { published } = kept;
  const losses = await lossTensors(config, tokenizer, kept.tensors);
  tellLosses(config, losses !== undefined, reporter);
  tellCopies(saved, 'this run', reporter);
  if (told) tellCopies(told.config, "the tokenizer of the prior's condition", reporter);
  const remap = published.used && path.join(out, usedFile);
  const described = { kept, remap, loss: losses ? loss(config, tokenizer.step) : undefined };

  const parts = [
    {
      name: 'vqgan',
      tensors: [...model(), ...(losses ?? [])],
      project: tokenizerProject(config, described),
      step: tokenizer.step,
    },
  ];
  const grids = [...(prior?.told ? [prior.told.grid] : []), ...gridsOf(config)];
  const own = prior && (await publishable(config, prior, { folder: folders.prior, grids }));
  if (prior && !own) {
    reporter.warn(
      'Without the prior: published transformers have one table for classes and codes, this one has rows for each. --to onnx takes it.',
    );
  }
  const heard = prior?.told && publishedTold(prior.told, told, { model, out });
  if (prior && own) {
    parts.push({
      name: 'transformer',
      tensors: [
        ...model(firstStage),
        ...(heard?.tensors ?? []),
        ...priorTensors(config, own.weights, own, grids),
      ],
      project: transformerProject(config, { kept, remap }, own.published, heard?.section),
      step: prior.step,
    });
  }
  const remapped = [
    ...(published.used ? [[usedFile, published.used] as const] : []),
    ...(heard?.used ? [[usedByTold, heard.used] as const] : []),
  ];

  const files: string[] = [];
  const ending = to === 'taming' ? 'ckpt' : 'safetensors';
  await writeFolderAtomic(out, async (folder) => {
    const at = (name: string): string => {
      files.push(path.join(out, name));
      return path.join(folder, name);
    };
    for (const { name, tensors, project, step } of parts) {
      const written = tensors.map(([name, t]) => [name, inPrecision(t, precision)] as const);
      const file = at(`${name}.${ending}`);
      if (to === 'taming') await writeArchive(file, written, step);
      else {
        const metadata = { format: 'pt', global_step: String(step) };
        await writeSafetensors(file, Object.fromEntries(written), metadata);
      }
      await fs.writeFile(at(`${name}.yaml`), `${mark}\n${stringify(project)}`);
    }
    for (const [name, used] of remapped) await fs.writeFile(at(name), npy(used));
  });
  const tensors = parts.reduce((sum, { tensors }) => sum + tensors.length, 0);
  return { run, to, out, files, tensors, precision, losses: losses !== undefined, prior: own !== undefined };
}

/**
 * What a prior would be, published, and its weights; nothing where it learned classes here, whose tokens are no codes.
 */
async function publishable(
  config: Config,
  { classes, tensors }: TrainedPrior,
  { folder, grids }: { folder: string; grids: readonly Grid[] },
): Promise<(Kept<PublishedPrior> & { readonly weights: HostTensors }) | undefined> {
  const kept = await readKept(folder, parsePrior);
  const drawn = Math.max(...gridsOf(config).map(({ vocab }) => vocab));
  const own = kept
    ? { ...kept, weights: tensors }
    : { published: publishedPrior(config, grids), tensors: {}, weights: neverDrawn(tensors, drawn) };
  return classes.length === own.published.classes ? own : undefined;
}

function tellLosses(config: Config, present: boolean, reporter: Reporter): void {
  const { data, stage1 } = config;
  const learned = 'codebook' in bottleneckOf(config).learned && bottleneckOf(config).published === 'VQModel';
  if (stage1.disc.weight > 0 && !present) {
    const why =
      data.pictures !== 'photographs'
        ? 'is of photographs'
        : stage1.disc.norm === 'batch'
          ? 'the run has no LPIPS weights'
          : 'its discriminator has no BatchNorm';
    reporter.warn(`Without discriminator: the published loss holds both it and LPIPS, and ${why}.`);
  }
  if (learned && !(stage1.legacy_beta && stage1.beta === 0.25)) {
    reporter.warn(
      'The published VQModel goes on training with beta 0.25 on the codebook term, unlike this run.',
    );
  }
}

function tellCopies(config: Config, who: string, reporter: Reporter): void {
  const copies = copiesOf(config);
  if (copies === 1) return;
  reporter.warn(
    `The published GroupNorm has 32 groups, ${who} ${config.stage1.norm_groups}: each channel is written ${copies} times, which gives the same pictures from ${copies ** 2} times the weights.`,
  );
}

async function writeArchive(
  file: string,
  tensors: readonly (readonly [string, Written])[],
  step: number,
): Promise<void> {
  const handle = await fs.open(file, 'w');
  try {
    await writeTorch(handle, tensors, { step });
  } finally {
    await handle.close();
  }
}

/** NumPy's format 1.0: whole numbers of 64 bits. */
function npy(values: readonly number[]): Uint8Array {
  const described = `{'descr': '<i8', 'fortran_order': False, 'shape': (${values.length},), }`;
  const length = Math.ceil((10 + described.length + 1) / 64) * 64;
  const head = Buffer.from(`\x93NUMPY\x01\x00..${described.padEnd(length - 11)}\n`, 'latin1');
  head.writeUInt16LE(length - 10, 8);
  return Buffer.concat([head, new Uint8Array(BigInt64Array.from(values, BigInt).buffer)]);
}

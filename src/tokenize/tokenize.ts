/** `vqgen tokenize`: images → token files. Streams: what is in memory is a batch and the few images decoded ahead. */
import { expected } from '../base/errors.js';
import { writeFilesAtomic } from '../base/files.js';
import { must } from '../base/lookup.js';
import { obstacleIn } from '../base/obstacles.js';
import type { Reporter } from '../base/progress.js';
import { occupying } from '../checkpoint/begin.js';
import { runPaths, writeRunConfig } from '../checkpoint/run.js';
import { describeSkipped } from '../data/source.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import { gridsOf } from '../stage1-vqgan/model.js';
import { codebookUse } from '../train/book-use.js';
import { collapseWarning } from '../train/usage-watch.js';
import { checkFile, writeCheck } from './check.js';
import { keeping } from './conditions/tokenizer.js';
import { imagesIn, type SplitFile, type Written, writeTokens } from './encode.js';
import { type JobOptions, openJob } from './subsets.js';
import { sizesOf } from './token-file.js';

export interface TokenizeOptions extends JobOptions {
  /** Also decodes a few and writes originals above decoded. */
  readonly check?: boolean;
  /** As a lock's. */
  readonly takeOver?: boolean;
}

export interface TokenizeSummary {
  readonly images: number;
  readonly skipped: number;
  readonly tokens: number;
  /** Of several grids the largest. */
  readonly vocab: number;
  readonly height: number;
  readonly width: number;
  /** Share of the codes that some image uses, of all grids together. */
  readonly usage: number;
  /** Of several. */
  readonly grids?: readonly (Grid & { readonly usage: number })[];
  readonly seconds: number;
  readonly file: string;
}

/** @throws UserError for a run without a tokenizer, or a data set without a readable image */
export async function tokenize(o: TokenizeOptions): Promise<TokenizeSummary> {
  checkTakesTokens(o.run);
  const exists = o.tokenizer === undefined;
  return occupying({ ...o, part: 'tokens', command: 'vqgen tokenize', exists }, () => tokenizeAll(o));
}

async function tokenizeAll(o: TokenizeOptions): Promise<TokenizeSummary> {
  const started = performance.now();
  const job = await openJob(o);
  const { config, telling, tokenizer } = job;
  const files: SplitFile[] = [];
  const beforeFinishing = async () => {
    if (o.set?.length) await writeRunConfig(o.run, config);
  };
  await keeping(telling?.tokenizer, o.run, () =>
    writeFilesAtomic(runPaths(o.run).tokens, async (folder) => {
      files.push(...(await writeTokens(job, folder, { ...o, beforeFinishing })));
    }),
  );
  if (o.check)
    for (const { name, first } of files) await writeCheck(checkFile(o.run, name), first, tokenizer);
  const summary = summarise(files, gridsOf(config), o.reporter, (performance.now() - started) / 1000);
  if (o.check) {
    const pictures = files.map(({ name }) => checkFile(o.run, name));
    o.reporter.note(`Originals above decoded codes: ${pictures.join(', ')}`);
  }
  return summary;
}

/** @throws UserError where nothing can be written, before the work */
export function checkTakesTokens(run: string): void {
  const obstacle = obstacleIn(runPaths(run).tokens) ?? obstacleIn(run);
  if (!obstacle) return;
  const next = 'Tokens go into the run: copy it to where you may write, and name the copy.';
  throw expected('a run that takes tokens', '--run', `${run}, ${obstacle}`, next);
}

/** How often each code of a grid was used, of all files together. */
function countsIn(files: readonly Written[], { name, vocab }: Grid): number[] {
  const all = files.map(({ counts }) => must(counts[name], name));
  return Array.from({ length: vocab }, (_, code) => all.reduce((sum, counts) => sum + counts[code]!, 0));
}

/** Says what was written, and warns of what is odd. */
export function summarise(
  files: readonly Written[],
  grids: readonly Grid[],
  reporter: Reporter,
  seconds: number,
): TokenizeSummary {
  const images = files.reduce((sum, file) => sum + imagesIn(file), 0);
  const rows = files.reduce((sum, { names }) => sum + names.length, 0);
  const skipped = files.flatMap((file) => file.skipped);
  const usedOf = (grid: Grid): number => countsIn(files, grid).filter(Boolean).length;
  const uses = grids.map((grid) => ({ name: grid.name, counts: countsIn(files, grid) }));
  const collapse = images > 1 ? collapseWarning(codebookUse(uses)) : undefined;
  if (collapse) reporter.warn(collapse);
  const sum = (of: (grid: Grid) => number) => grids.reduce((total, grid) => total + of(grid), 0);
  if (skipped.length > 0) reporter.warn(describeSkipped(skipped, images + skipped.length));
  for (const file of files) {
    const each = file.codings > 1 ? `, ${file.codings} codings of each,` : '';
    reporter.note(`${imagesIn(file)} images${each} in ${file.file}`);
    if (file.views < file.codings) {
      reporter.warn(
        `No image has more than ${file.views} different codings, though ${file.codings} were asked for: crops differ where one side is longer, ` +
          'and mirrored ones come with data.flip.',
      );
    }
  }
  return {
    images,
    skipped: skipped.length,
    tokens: rows * cellsIn(grids),
    ...sizesOf(grids.map((grid) => ({ ...grid, usage: usedOf(grid) / grid.vocab }))),
    usage: sum(usedOf) / sum(({ vocab }) => vocab),
    seconds,
    file: must(files[0], 'file').file,
  };
}

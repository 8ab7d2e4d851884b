/** Codes of unseen pictures: those of the run's token file, or of the pictures that a report has looked at. */
import { existsSync } from 'node:fs';
import { UserError } from '../base/errors.js';
import { tokenFile } from '../checkpoint/run.js';
import { classesOf } from '../data/source.js';
import { gridsIn } from '../stage1-vqgan/latent.js';
import { tokensFor } from '../stage2-transformer/model.js';
import type { Tokens } from '../tokenize/token-file.js';
import type { Opened } from './opened.js';
import { isMissing, type Part } from './part.js';
import type { Unseen } from './unseen.js';

export interface Coded {
  readonly tokens: Tokens;
  /** For people. */
  readonly from: string;
}

/** The token file speaks of the run's own pictures, and only where it is of the present tokenizer. */
export async function codedOf(o: Opened, unseen: Part<Unseen>): Promise<Part<Coded>> {
  const { run, latent, tokenizer } = o;
  if (latent.kind !== 'codes') return { missing: 'Latents are numbers, not codes.' };
  if (isMissing(tokenizer)) return tokenizer;
  const grids = gridsIn(latent);
  let why = '';
  if (o.data === undefined && !existsSync(tokenFile(run, 'val')))
    why = 'The run has no tokens/val.safetensors.';
  else if (o.data === undefined) {
    try {
      const tokens = await tokensFor(run, 'val', grids, tokenizer);
      return { tokens, from: `all ${tokens.count} pictures of the run's tokens/val.safetensors` };
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      why = error.message;
    }
  }
  if (isMissing(unseen)) return { missing: `No codes of unseen pictures are known. ${why}` };
  const { codes, names, images, size } = unseen;
  const { classes, labels } = classesOf(names, unseen.classes);
  const tokens = {
    ...{ tokenizer: tokenizer.sha256, size, names, classes, labels, grids },
    ...{ codings: 1, count: images, codes: Uint32Array.from(codes) },
  };
  return { tokens, from: `${images} unseen pictures` };
}

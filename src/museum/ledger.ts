/**
 * What a museum remembers, in one file: what it is of, what is done, how long it took. Its name is that by which
 * folders of vqgen are known: its pictures are no data.
 */
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import * as z from 'zod';
import { expected } from '../base/errors.js';
import { settle, writeFileAtomic } from '../base/files.js';
import { fileInTheWay } from '../base/obstacles.js';
import { readRegularText } from '../base/regular-file.js';
import { version } from '../base/root.js';
import { markName } from '../data/own-folders.js';

const count = z.int().nonnegative();
const amount = z.number().nonnegative();

const figure = z.strictObject({ width: count, height: count, pictures: count });

const exhibit = z.strictObject({
  /** Learned numbers. */
  parameters: z.strictObject({ tokenizer: count, prior: count }),
  latent: z.string(),
  /** Means over unseen pictures: dB. */
  psnr: z.number(),
  /** Of what the encoder sees, and of what comes back, where it sees noise or holes: dB, of the pictures shown. */
  corrupted: z.strictObject({ seen: z.number(), restored: z.number() }).optional(),
  /** Distances in vqgen's features; null of fewer than two pictures. */
  rfd_vqgen: z.number().nullable(),
  fd_vqgen: z.number().nullable(),
  /** Of a picture, and who says so; none of numbers without a price. */
  bits: z.strictObject({ value: z.number(), by: z.enum(['prior', 'bound', 'kl']) }).optional(),
  /** Bits of its codes as they are. */
  raw_bits: z.number().optional(),
  /** Unseen pictures, and samples, that were measured. */
  measured: count,
  drawn: count,
  settings: z.record(z.string(), z.union([z.number(), z.string()])),
  /** Of the columns of its samples. */
  classes: z.array(z.string()),
  /** By the names of their files. */
  figures: z.record(z.string(), figure),
});

export type Exhibit = z.infer<typeof exhibit>;
export type FigureSize = z.infer<typeof figure>;

const museum = z.strictObject({
  /** Absolute; null: the built-in pictures. */
  data: z.string().nullable(),
  /** Seconds. */
  budget: z.number().positive(),
  seed: count,
  /** Of all sittings. */
  seconds: amount,
  sittings: count,
  /** What computed last. */
  machine: z.string(),
  pictures: z
    .strictObject({ train: count, val: count, classes: z.array(z.string()), shown: z.array(z.string()) })
    .optional(),
  /** By the names of works: their seconds; of trainings their share, what they were given to plan with, their steps. */
  works: z.record(
    z.string(),
    z.strictObject({
      seconds: amount,
      done: z.boolean(),
      share: amount.optional(),
      given: amount.optional(),
      steps: count.optional(),
    }),
  ),
  exhibits: z.record(z.string(), exhibit),
});

export type Ledger = z.infer<typeof museum>;
export type WorkNote = Ledger['works'][string];

const saved = z.looseObject({ vqgen: z.string(), museum });

const fileOf = (out: string): string => path.join(out, markName);

const mostBytes = 1 << 24;

/**
 * The museum in a folder, undefined where the folder is new or empty.
 *
 * @throws UserError for a folder of something else, and a damaged file
 */
export function readLedger(out: string): Ledger | undefined {
  const file = fileInTheWay(out);
  if (file) throw expected('a folder', '--out', `${out}, where ${file} is a file`, 'Name another --out.');
  settle(out);
  if (!existsSync(fileOf(out))) {
    const [other] = existsSync(out) ? readdirSync(out).filter((name) => !name.startsWith('.')) : [];
    if (other === undefined) return undefined;
    throw notAMuseum(`${out}, which holds ${other}`);
  }
  try {
    return saved.parse(JSON.parse(readRegularText(fileOf(out), mostBytes))).museum;
  } catch (cause) {
    throw notAMuseum(`${out}, whose ${markName} is not what this vqgen writes there`, cause);
  }
}

const notAMuseum = (received: string, cause?: unknown) =>
  expected('a folder that is new or holds a museum', '--out', received, 'Name another --out.', cause);

export const writeLedger = (out: string, ledger: Ledger): Promise<void> =>
  writeFileAtomic(fileOf(out), `${JSON.stringify({ vqgen: version, museum: ledger }, null, 1)}\n`);

/** `90m`, `45s` */
export const timeOf = (seconds: number): string => (seconds % 60 === 0 ? `${seconds / 60}m` : `${seconds}s`);

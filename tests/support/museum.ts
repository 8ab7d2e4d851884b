/** A museum whose works are played: each takes a second, and pictures are of one colour. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { silent } from '../../src/base/progress.js';
import { tilesOf } from '../../src/data/tiles.js';
import type { Device } from '../../src/engine/device.js';
import type { Exhibit } from '../../src/museum/ledger.js';
import { type MuseumOptions, museum } from '../../src/museum/museum.js';
import { figuresOf } from '../../src/museum/places.js';
import type { Room } from '../../src/museum/rooms.js';
import type { Workshop } from '../../src/museum/workshop.js';

const size = 4;

async function hang(folder: string, names: readonly string[], pictures = 10) {
  await fs.mkdir(folder, { recursive: true });
  const colours = Array.from({ length: pictures }, (_, i) => new Float32Array(size * size * 3).fill(i / 10));
  const { png, ...extent } = await tilesOf(colours, { size, columns: 10 });
  for (const name of names) await fs.writeFile(path.join(folder, `${name}.png`), png);
  return Object.fromEntries(names.map((name) => [name, { ...extent, pictures }]));
}

async function exhibitOf(out: string, room: Room): Promise<Exhibit> {
  const coded = room.works.includes('prior') || room.runOf !== undefined;
  const own: Record<string, readonly string[]> = {
    ae: ['between', 'normal'],
    dae: ['originals', 'seen', 'restored'],
    mae: ['originals', 'seen', 'restored'],
    vae: ['between'],
    cvae: ['between'],
  };
  const rows = ['reconstructions', 'reconstructions-row', 'samples', 'samples-row'];
  return {
    parameters: { tokenizer: 700_000, prior: coded ? 2_000_000 : 0 },
    latent: coded ? '8×8 codes of 512' : '64 numbers',
    psnr: 20,
    ...(own[room.name]?.includes('seen') && { corrupted: { seen: 13.25, restored: 19 } }),
    rfd_vqgen: 2,
    fd_vqgen: null,
    ...(coded && { bits: { value: 200, by: room.name.startsWith('maskgit') ? 'bound' : 'prior' } as const }),
    ...(coded && { raw_bits: 576 }),
    measured: 64,
    drawn: 64,
    settings: { temperature: 1 },
    classes: coded ? ['boat', 'cat & <dog>'] : [],
    figures: await hang(figuresOf(out, room), [...rows, ...(own[room.name] ?? [])]),
  };
}

export interface Played extends Partial<Omit<MuseumOptions, 'out'>> {
  readonly classes?: readonly string[];
  /** The work at whose end the signal comes, as at Ctrl-C. */
  readonly stopAt?: string;
  /** Seconds of a work that was given so many. */
  readonly took?: (given: number) => number;
}

/** @returns the names of the works that were done, what trainings were given, and more */
export async function playMuseum(
  out: string,
  { classes = ['boat', 'cat & <dog>'], stopAt, took = (given) => given || 1, ...o }: Played = {},
) {
  const works: string[] = [];
  const given: Record<string, number> = {};
  const said: string[] = [];
  let [time, opened] = [0, 0];
  const controller = new AbortController();
  const workshop = (): Workshop => ({
    async prepare() {
      await hang(path.join(out, 'rooms'), ['originals', 'originals-row']);
      time += 2;
      return { train: 9, val: 1, classes: [...classes], shown: ['a.png', 'b.png'] };
    },
    async work({ room, kind, name }, { seconds }) {
      works.push(name);
      if (seconds > 0) given[name] = seconds;
      time += took(seconds);
      if (name === stopAt) {
        controller.abort();
        return { stopped: true };
      }
      return { steps: 20, exhibit: kind === 'exhibit' ? await exhibitOf(out, room) : undefined };
    },
  });
  const summary = await museum({
    out,
    workshop,
    clock: () => time,
    openDevice: async () => {
      opened++;
      return { description: 'a device' } as Device;
    },
    reporter: { ...silent, note: (line) => said.push(line) },
    signal: controller.signal,
    ...o,
  });
  return { summary, works, given, opened, said, seconds: () => time };
}

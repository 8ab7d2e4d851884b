/** Folders of one-colour PNGs for the tests of this room. */
import fs from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import sharp from 'sharp';
import type { DataConfig } from '../../src/config/schema.js';

export async function temporaryFolder(): Promise<string> {
  return fs.mkdtemp(path.join(os.tmpdir(), 'vqgen-data-'));
}

/** One value per picture that survives PNG: `level` everywhere, but the left column is white. */
export async function writePicture(
  dir: string,
  name: string,
  { level, width = 8, height = 8 }: { level: number; width?: number; height?: number },
): Promise<void> {
  const data = Uint8Array.from({ length: width * height * 3 }, (_, i) =>
    Math.floor(i / 3) % width === 0 ? 255 : level,
  );
  const file = path.join(dir, name);
  await fs.mkdir(path.dirname(file), { recursive: true });
  await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toFile(file);
}

export function dataConfig(changes: Partial<DataConfig>): DataConfig {
  return {
    ...{ dir: null, val_dir: null, pictures: 'photographs', labels: [], size: 8, flip: false },
    ...{ val_fraction: 0.3, max_unreadable: 0.1, drawn: 20 },
    ...changes,
  };
}

/** What lies in a run, told without what a clock says. */
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

const digest = (file) => createHash('sha256').update(fs.readFileSync(file)).digest('hex').slice(0, 16);

/** Digests of the files of a folder by their names in it, but for hidden ones; undefined where there is no folder. */
export function filesOf(folder) {
  if (!fs.existsSync(folder)) return undefined;
  const files = fs.readdirSync(folder, { recursive: true, withFileTypes: true }).filter((e) => e.isFile());
  const names = files.map((e) => path.relative(folder, path.join(e.parentPath, e.name)));
  const seen = names.filter((name) => !name.split(path.sep).some((part) => part.startsWith('.')));
  return Object.fromEntries(seen.sort().map((name) => [name, digest(path.join(folder, name))]));
}

export const checkpointsIn = (stage) =>
  fs.existsSync(stage)
    ? fs
        .readdirSync(stage)
        .filter((name) => /^step-\d+$/.test(name))
        .sort()
    : [];

/** The newest weights and optimiser, and all lines of metrics. */
export function trainedIn(stage) {
  const newest = checkpointsIn(stage).at(-1);
  if (!newest) return undefined;
  const tensors = ['model', 'optimizer'].map((name) =>
    digest(path.join(stage, newest, `${name}.safetensors`)),
  );
  const lines = fs.readFileSync(path.join(stage, 'metrics.jsonl'), 'utf8').trimEnd().split('\n');
  const timeless = lines.map((line) =>
    Object.entries(JSON.parse(line)).filter(([key]) => key !== 'time_s' && !key.endsWith('_per_second')),
  );
  const latest = fs.existsSync(path.join(stage, 'latest'))
    ? fs.readFileSync(path.join(stage, 'latest'), 'utf8').trim()
    : 'nothing';
  return { newest, latest, tensors, metrics: JSON.stringify(timeless) };
}

/** What unfinished writes left: nothing may after the next whole command. */
export const leftoversIn = (folder) =>
  fs
    .readdirSync(folder, { recursive: true })
    .filter(
      (name) => /(^|\/)\.[^/]*(\.(partial|replaced|ready)|\.rows-\d+)$/.test(name) || /^tmp\/./.test(name),
    );

/** Turns one bit around. */
export function flipBit(file, share) {
  const bytes = fs.readFileSync(file);
  bytes[Math.floor(share * bytes.length)] ^= 1 << 3;
  fs.writeFileSync(file, bytes);
}

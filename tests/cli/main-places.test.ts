/** Where commands may write: no link in a run is followed, and nothing is written over that is read or is no file. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { holding } from '../../src/base/lock.js';
import { silent } from '../../src/base/progress.js';
import { main } from '../../src/cli/main.js';
import { openDevice } from '../../src/engine/index.js';
import { tokenize } from '../../src/tokenize/tokenize.js';
import { fixture } from '../exchange/fixtures.js';
import { trainedRun } from '../exchange/trained-run.js';
import { writePictures } from '../support/run.js';
import { call } from '../support/streams.js';

const vqgen = (line: string) => call(main, [...line.split(' '), '--device', 'cpu', '--threads', '1']);

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'vqgen-places-'));
const home = process.cwd();
beforeAll(async () => {
  process.chdir(folder);
  await writePictures('photos', 12);
  await trainedRun('.', 'run', { prior: { kind: 'maskgit' } });
  const device = await openDevice({ device: 'cpu', threads: 1, reporter: silent });
  await tokenize({ run: 'run', device, reporter: silent });
  fs.mkdirSync('run/samples');
});
afterAll(() => {
  process.chdir(home);
  fs.rmSync(folder, { recursive: true });
});

/** Everything in it, links as such, with sizes and times of change. */
function contents(place: string): string[] {
  const stat = fs.lstatSync(place);
  const own = `${place} ${stat.ino} ${stat.size} ${stat.mtimeMs}`;
  return stat.isDirectory()
    ? [
        own,
        ...fs
          .readdirSync(place)
          .sort()
          .flatMap((name) => contents(path.join(place, name))),
      ]
    : [own];
}

/** The one sentence of a command that may change nothing. */
async function refusal(line: string, ...untouched: string[]): Promise<string> {
  const before = untouched.flatMap(contents);
  const { code, stdout, stderr } = await vqgen(line);
  const said = stderr.trimEnd().split('\n');
  expect({ line, code, stdout, said }).toEqual({
    line,
    code: 2,
    stdout: '',
    said: [expect.stringMatching(/^Expected /)],
  });
  expect(untouched.flatMap(contents)).toEqual(before);
  return said[0]!;
}

const onUnix = process.platform === 'win32' ? describe.skip : describe;

const picture = 'photos/a/0.png';
const drawing = [
  'sample --n 1',
  `reconstruct ${picture}`,
  `interpolate ${picture} photos/b/1.png`,
  `complete ${picture}`,
  `edit inpaint ${picture} --box 0,0,4,4`,
  `edit outpaint ${picture} --right 50%`,
  `evaluate --n 2`,
];
const tokenizing = ['tokenize', 'tokenize photos --split x'];
const training1 = ['train-stage1 --resume --steps 9', 'train-stage1 --config tiny'];
const training2 = ['train-prior --resume --steps 9', 'train-prior'];

onUnix('a link in a run is named with its target, and not followed', () => {
  beforeAll(() => {
    fs.cpSync('run', 'target', { recursive: true });
    fs.writeFileSync('target/file', 'mine');
  });

  test.each<[link: string, to: string, commands: readonly string[]]>([
    ['samples', 'target', drawing],
    ['samples/seed-0', 'target/samples', drawing],
    ['.cache', 'target', [...training1, 'sample --n 1 --precision int8']],
    ['tokens', 'target/tokens', tokenizing],
    ['tokens/train.safetensors', 'target/file', tokenizing],
    ['condition', 'target', tokenizing],
    ['stage1', 'target/stage1', training1],
    ['stage1/latest', 'target/file', training1],
    ['stage1/metrics.jsonl', 'target/file', training1],
    ['stage1/.step-00000001.removed', 'target/stage1', training1],
    ['stage1/step-00000001/state.json', 'target/file', training1],
    ['stage1/grids', 'target', training1],
    ['stage1/tensorboard', 'target', training1],
    ['prior', 'target/prior', training2],
    ['prior/classes.json', 'target/file', training2],
    ['prior/step-00000003', 'target/prior/step-00000003', training2],
    ['pictures.json', 'target/file', training1],
    ['config.json', 'target/config.json', [...training1, ...training2, ...tokenizing]],
    ['onnx', 'target', ['export --to onnx']],
    ['web', 'target', ['export --to web']],
    ['taming', 'target', ['export --to taming']],
    ['run', 'target', ['export --to run']],
  ])('%s', async (link, to, commands) => {
    fs.rmSync('strange', { recursive: true, force: true });
    fs.cpSync('run', 'strange', { recursive: true });
    fs.rmSync(path.join('strange', link), { recursive: true, force: true });
    fs.symlinkSync(path.join(folder, to), path.join('strange', link));
    for (const line of commands) {
      const said = await refusal(`${line} --run strange`, 'strange', 'target');
      expect(said).toContain(`${path.join('strange', link)}`);
      expect(said).toContain(path.join(folder, to));
    }
  });

  test('the run itself may be one, and what a user names', async () => {
    fs.symlinkSync(path.join(folder, 'run'), 'to-run');
    fs.mkdirSync('elsewhere/old', { recursive: true });
    fs.rmdirSync('elsewhere/old');
    fs.symlinkSync(path.join(folder, 'elsewhere'), 'to-elsewhere');
    expect(await vqgen('sample --n 1 --run to-run --out to-elsewhere/grid.png')).toMatchObject({ code: 0 });
    expect(fs.readdirSync('elsewhere')).toEqual(['grid.png']);
    fs.rmSync('elsewhere/grid.png');
    for (let i = 0; i < 2; i++)
      expect(await vqgen('export --to safetensors --run run --out to-elsewhere')).toMatchObject({ code: 0 });
    expect(fs.readdirSync('elsewhere')).toContain('prior.safetensors');
    expect(fs.lstatSync('to-elsewhere').isSymbolicLink()).toBe(true);
  });
});

onUnix('--out is a place of its own', () => {
  beforeAll(() => {
    fs.cpSync('photos', 'own', { recursive: true });
    fs.linkSync('own/a/0.png', 'hard.png');
    fs.symlinkSync('/dev/null', 'null.png');
    fs.mkdirSync('folder.png');
    fs.mkdirSync('hub');
    fs.writeFileSync('hub/model.safetensors', 'a model of somebody else');
    fs.mkdirSync('readme');
    fs.writeFileSync('readme/README.md', '# Mine');
    fs.mkdirSync('published');
    fs.writeFileSync('published/vqgan.ckpt', '');
    fs.writeFileSync('published/vqgan.yaml', 'model: {}');
    fs.cpSync('run', 'another', { recursive: true });
    fs.rmSync('another/samples', { recursive: true });
    fs.symlinkSync(path.join(folder, 'run'), 'run-again');
    spawnSync('mkfifo', ['pipe.png']);
  });

  test.each([
    [`reconstruct own/a/0.png`, 'own/a/0.png', 'which the command reads'],
    [`reconstruct own/a/0.png`, 'hard.png', 'which the command reads'],
    [`reconstruct own`, 'own/a/0.png', 'which the command reads'],
    [`interpolate own/a/0.png own/b/1.png`, 'own/b/1.png', 'which the command reads'],
    [`complete own/a/0.png`, 'own/a/0.png', 'which the command reads'],
    [`edit inpaint own/a/0.png --mask own/a/2.png`, 'own/a/2.png', 'which the command reads'],
    [`evaluate --data own`, 'own/a/0.png', 'which the command reads'],
    [`sample`, 'run/stage1/latest', 'which the command reads'],
    [`sample`, 'run-again/condition', 'which the command reads'],
    [`sample`, 'run-again/stage1/new.png', 'which the command reads'],
    [`sample`, 'null.png', 'which is a device'],
    [`sample`, 'pipe.png', 'which is a pipe'],
    [`sample`, '/dev/null', 'which is a device'],
    [`sample`, 'folder.png', 'which is a folder'],
    [`evaluate --n 2`, '/dev/zero', 'which is a device'],
    [`export --to onnx`, 'readme', 'whose files vqgen did not write'],
    [`export --to safetensors`, 'hub', 'whose files vqgen did not write'],
    [`export --to taming`, 'published', 'whose files vqgen did not write'],
    [`export --to run`, 'run-again', 'another folder than --run'],
    [`export --to run`, 'run/condition', 'which is a part of run'],
    [`export --to run`, 'another', 'which holds tokens'],
    [`export --to onnx`, 'photos', 'which holds a'],
    [`export --to onnx`, 'null.png', 'is a file'],
    [`export --to onnx`, '/dev/new', "the system's own"],
  ])('%s --out %s', async (line, out, reason) => {
    const places = [out.split('/')[0]!, 'run', 'own'].filter((place) => place && place !== 'run-again');
    expect(await refusal(`${line} --run run --out ${out}`, ...places)).toContain(reason);
  });

  test('a new run is made by one import at a time, a classifier trained by one process', async () => {
    const o = { option: '--run', named: 'made', command: 'vqgen import', reporter: silent };
    await holding({ ...o, place: 'made' }, async () => {
      const said = await refusal(
        `import ${fixture('gumbel.ckpt')} --config ${fixture('gumbel.yaml')} --run made`,
      );
      expect(said).toMatch(/made, whose made is held by process \d+/);
    });
    await holding({ ...o, place: 'seen/training' }, async () => {
      expect(await refusal('train-perceptual --data own --out seen')).toContain(
        'seen, whose training is held by',
      );
    });
    expect([fs.existsSync('made'), fs.existsSync('seen')]).toEqual([false, false]);
    fs.mkdirSync('seen');
    fs.symlinkSync(path.join(folder, 'own'), 'seen/training');
    expect(await refusal('train-perceptual --data photos --out seen', 'own')).toContain(
      'seen/training is a link to',
    );
  });

  test('of other commands', async () => {
    expect(await refusal('train-perceptual --data own --out own', 'own')).toContain(
      'another folder than its images',
    );
    expect(await refusal('evaluate --run run --save-stats /dev/null', 'run')).toContain('--save-stats');
    expect(await refusal('evaluate --run run --out a.png --save-stats ./a.png', 'run')).toContain(
      'another file than --out',
    );
  });
});

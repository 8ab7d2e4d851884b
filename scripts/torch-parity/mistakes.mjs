/** What a project says to mistakes: one sentence and no stack, on exit code 2, with its checkpoints as they were. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const checkpoints = (stage) => fs.readdirSync(stage).filter((name) => name.startsWith('step-'));
const damage = (folder) => fs.appendFileSync(path.join(folder, 'model.safetensors'), 'x');

/** Runs a command while it holds a lock. */
const locked = `
import fcntl, subprocess, sys
held = open(sys.argv[1], 'w')
fcntl.flock(held, fcntl.LOCK_EX)
sys.exit(subprocess.run([sys.executable, *sys.argv[2:]]).returncode)
`;

/** @param o.project with both stages at their last steps, and its pictures where its config says. @param o.folder new */
export function mistakes({ python, project, folder }) {
  const copy = path.join(folder, 'mistaken');
  const at = (...parts) => path.join(copy, ...parts);
  const config = JSON.parse(fs.readFileSync(path.join(project, 'config.json'), 'utf8'));
  const pictures = path.join(folder, 'pictures');
  const edited = (change) => {
    change(config);
    fs.writeFileSync(at('config.json'), JSON.stringify(config));
  };
  const broken = () => {
    fs.cpSync(config.data.dir, pictures, { recursive: true });
    for (const entry of fs.readdirSync(pictures, { recursive: true, withFileTypes: true }))
      if (entry.isFile()) fs.writeFileSync(path.join(entry.parentPath, entry.name), 'no picture');
  };
  const last = (stage) => fs.readFileSync(path.join(project, stage, 'latest'), 'utf8').trim();
  const step = Number(last('stage1').slice(5));
  const cases = [
    [/Expected the \d+ steps that are done, or more, for --steps but received 3/, ['stage1', '--steps', '3']],
    [
      /Expected a folder of images for --data but received .*none, which is none/,
      ['stage1', '--data', at('none')],
    ],
    [/Expected a folder of images for --val-data .*none/, ['stage1', '--val-data', at('none')]],
    [
      /Expected a picture for .* but received/,
      ['stage1', '--data', pictures, '--steps', `${step + 1}`],
      broken,
    ],
    [/Expected a token file for .*train\.safetensors/, ['prior', '--tokens', at('none')]],
    [/Expected JSON for .*config\.json/, ['stage1'], () => fs.writeFileSync(at('config.json'), '{')],
    [
      /Expected \[.*\] for model\..* The checkpoint is of another config/,
      ['stage1'],
      () => edited((c) => (c.stage1.ch *= 2)),
    ],
    [/Expected no tensor for model\.blocks/, ['prior'], () => edited((c) => (c.prior.layers -= 1))],
    [
      /Expected the checkpoint's own bytes for .* it is damaged/,
      ['prior'],
      () => {
        for (const name of checkpoints(at('prior'))) damage(at('prior', name));
      },
    ],
    [
      /Expected a checkpoint in .*prior but received none.*vqgen tokenize/,
      ['prior'],
      () => fs.rmSync(at('prior'), { recursive: true }),
    ],
    [
      /Expected a file for .*perceptual\.safetensors but received none/,
      ['stage1'],
      () => fs.rmSync(at('perceptual.safetensors')),
    ],
    [/Expected a file for .*config\.json but received none/, ['stage1'], () => fs.rmSync(at('config.json'))],
  ];
  for (const [sentence, words, change] of cases) {
    fs.cpSync(project, copy, { recursive: true });
    change?.();
    const { status, stderr } = spawnSync(python, [at('train.py'), ...words], { encoding: 'utf8' });
    assert.match(stderr, sentence);
    assert.doesNotMatch(stderr, /Traceback/);
    assert.equal(status, 2);
    assert.equal(fs.readFileSync(at('stage1', 'latest'), 'utf8').trim(), last('stage1'));
    fs.rmSync(copy, { recursive: true });
  }
  fs.cpSync(project, copy, { recursive: true });
  damage(at('prior', last('prior')));
  const before = spawnSync(python, [at('train.py'), 'prior'], { encoding: 'utf8' });
  assert.match(before.stdout, /it is damaged\. The checkpoint before it is used\./);
  assert.equal(before.status, 0);
  assert.equal(fs.readFileSync(at('prior', 'latest'), 'utf8').trim(), last('prior'));

  const held = spawnSync(python, ['-c', locked, at('stage1', '.lock'), at('train.py'), 'stage1'], {
    encoding: 'utf8',
  });
  assert.match(held.stderr, /Expected a stage that nobody trains but received .*stage1/);
  assert.equal(held.status, 2);
  fs.rmSync(copy, { recursive: true });
  console.log(`mistakes: ${cases.length} of them, a sentence each`);
}

import fs from 'node:fs/promises';
import path from 'node:path';
import { holding } from '../../src/base/lock.js';
import { silent } from '../../src/base/progress.js';
import { serveRun } from '../../src/cli/watch.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { got } from '../support/http.js';

afterAll(removeFolders);

const quick = { port: 0, every: 10, grace: 60 };

async function freshRun(): Promise<string> {
  const run = path.join(await freshFolder(), 'run');
  await fs.mkdir(path.join(run, 'stage1'), { recursive: true });
  await fs.writeFile(path.join(run, 'config.json'), '{}');
  return run;
}

test('it tells the address, serves while a process trains, and ends after it', async () => {
  const run = await freshRun();
  const { signal } = new AbortController();
  let told = '';
  let serving: Promise<unknown> | undefined;
  const lock = {
    place: path.join(run, 'stage1'),
    option: '--run',
    named: run,
    command: 'vqgen train-stage1',
  };
  await holding({ ...lock, reporter: silent }, async () => {
    await new Promise<void>((resolve) => {
      const tell = async (line: string): Promise<void> => {
        told = line;
        resolve();
      };
      serving = serveRun({ run, ...quick }, { tell, signal, reporter: silent });
    });
    expect((await got(told)).status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 3 * quick.grace));
    expect(JSON.parse((await got(told, '/state')).body)).toMatchObject({ busy: true });
  });
  expect(await serving).toMatchObject({ summary: { run, address: told, ended: 'training' } });
  await expect(got(told)).rejects.toThrow();
});

test('where nobody trains it serves until Ctrl-C', async () => {
  const run = await freshRun();
  const controller = new AbortController();
  const serving = serveRun(
    { run, ...quick },
    { tell: async () => {}, signal: controller.signal, reporter: silent },
  );
  await new Promise((resolve) => setTimeout(resolve, 3 * quick.grace));
  controller.abort();
  expect(await serving).toMatchObject({ summary: { ended: 'signal' }, lines: [] });
});

test('a run that does not exist is a sentence', async () => {
  const run = path.join(await freshFolder(), 'none');
  const { signal } = new AbortController();
  await expect(
    serveRun({ run, ...quick }, { tell: async () => {}, signal, reporter: silent }),
  ).rejects.toThrow(`Expected a run folder for --run but received ${run}, which does not exist.`);
});

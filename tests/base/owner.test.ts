import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { asOwner, fateOf, isOurs, type Owner, ourselves, ownerOf, tagOf } from '../../src/base/owner.js';

const onLinux = process.platform === 'linux' ? test : test.skip;

const ended: Owner = { ...ourselves, pid: spawnSync(process.execPath, ['-e', '']).pid };

test('a process of this machine is there or gone', () => {
  expect(fateOf(ourselves)).toBe('alive');
  expect(fateOf({ ...ourselves, pid: process.ppid, started: '' })).toBe('alive');
  expect(fateOf(ended)).toBe('gone');
});

onLinux(
  'a pid that another process has by now, and a process that only waits to be asked how it ended, are gone',
  async () => {
    expect(fateOf({ ...ourselves, started: '1' })).toBe('gone');
    // The shell does not ask for its child, as a container's first process does not.
    const shell = spawn('sh', ['-c', 'sleep 0.3 & echo $!; exec sleep 60'], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    try {
      const pid = await new Promise<number>((resolve) =>
        shell.stdout.once('data', (text) => resolve(Number(text))),
      );
      const state = () => readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0];
      while (state() !== 'Z') await new Promise((resolve) => setTimeout(resolve, 5));
      expect(fateOf({ ...ourselves, pid, started: '' })).toBe('gone');
    } finally {
      shell.kill('SIGKILL');
    }
  },
);

test('of other machines and containers nothing is known; what ran before this machine was started is gone', () => {
  const here: Owner = { host: 'a', machine: '11', boot: '22', space: '33', pid: ended.pid, started: '1' };
  const fate = (other: Partial<Owner>, self: Partial<Owner> = {}) =>
    fateOf({ ...here, ...other }, { ...here, ...self });
  expect(fate({})).toBe('gone');
  expect(fate({ host: 'b' })).toBe('gone'); // The same kernel: the host was renamed.
  expect(fate({ space: '34' })).toBe('unknown');
  expect(fate({ boot: '23' })).toBe('gone');
  expect(fate({ boot: '23', host: 'b' })).toBe('unknown');
  expect(fate({ boot: '23', machine: '12' })).toBe('unknown');
  expect(fate({ boot: '23', machine: '' }, { machine: '' })).toBe('unknown'); // Images of containers share names.
  const untold = { machine: '', boot: '', space: '', started: '' };
  expect(fate(untold, untold)).toBe('gone');
  expect(fate({ ...untold, host: 'b' }, untold)).toBe('unknown');
  expect(fate(untold)).toBe('unknown');
});

test('an owner goes through a name and JSON, and nothing else is one', () => {
  expect(ownerOf(tagOf(ended))).toEqual(ended);
  expect([isOurs(ownerOf(tagOf(ourselves))), isOurs(ended)]).toEqual([true, false]);
  expect(asOwner(JSON.parse(JSON.stringify({ ...ended, since: 'now' })))).toEqual(ended);
  const strange = [null, 1, 'a', {}, { ...ended, pid: 0 }, { ...ended, pid: -5 }, { ...ended, pid: 1.5 }];
  for (const value of [...strange, { ...ended, host: '../x' }, { ...ended, boot: undefined }])
    expect(asOwner(value)).toBeUndefined();
});

import { budget } from '../../src/data/memory.js';

test('work waits for what is free, in order; what is too large is done alone; failures give back', async () => {
  const held = budget(10);
  const log: string[] = [];
  let running = 0;
  const work = (name: string, amount: number) =>
    held.hold(amount, async () => {
      running += Math.min(amount, 10);
      expect(running).toBeLessThanOrEqual(10);
      log.push(name);
      await new Promise((done) => setTimeout(done, 5));
      running -= Math.min(amount, 10);
      if (name === 'c') throw new Error('failed');
    });
  const all = [work('a', 6), work('b', 5), work('c', 4), work('d', 99), work('e', 1)];
  const results = await Promise.allSettled(all);
  expect(log).toEqual(['a', 'b', 'c', 'd', 'e']);
  expect(results.map(({ status }) => status === 'fulfilled')).toEqual([true, true, false, true, true]);
});

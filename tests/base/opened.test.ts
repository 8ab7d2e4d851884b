import { type Disposable, opened } from '../../src/base/opened.js';

const things = () => {
  const gone: string[] = [];
  const thing = (name: string): Disposable => ({ dispose: async () => void gone.push(name) });
  return { gone, thing };
};

test('what was opened stays open, and goes with what it was opened for, once', async () => {
  const { gone, thing } = things();
  const made = await opened(async (note) => {
    note(thing('first'));
    note(thing('second'));
    return { value: 3 };
  });
  expect([made.value, gone]).toEqual([3, []]);
  await made.dispose();
  await made.dispose();
  expect(gone).toEqual(['second', 'first']);
});

test('what was opened before a mistake goes', async () => {
  const { gone, thing } = things();
  const failing = opened(async (note) => {
    note(thing('first'));
    throw new Error('no');
  });
  await expect(failing).rejects.toThrow('no');
  expect(gone).toEqual(['first']);
});

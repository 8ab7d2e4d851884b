import { layoutHint } from '../../src/data/layout.js';

const otherwise = {
  one: (dir: string) => `--data ${dir}`,
  two: (train: string, val: string) => `--data ${train} --set data.val_dir=${val}`,
};
const hint = (names: string[], split = true) => layoutHint('photos', names, { ...otherwise, split });

test.each([
  [['train/cat/1.png', 'val/cat/2.png', 'test/dog/3.png'], 'train', 'val'],
  [['Training/cat/1.png', 'Testing/cat/2.png'], 'Training', 'Testing'],
  [['train2017/cat/1.png', 'val2017/dog/2.png', 'annotations/cat/1.png'], 'train2017', 'val2017'],
  [['training_set/cat/1.png', 'test_set/cat/2.png', 'loose.png'], 'training_set', 'test_set'],
  [['train/cat/1.png', 'validation/cat/1.png', 'test/cat/1.png'], 'train', 'validation'],
])('folders of a split: %j', (names, train, val) => {
  expect(hint(names)).toBe(
    `photos has the folders ${train} and ${val}: as subfolders they are two classes, and images of both are for training. ` +
      `If they are a split and the folders in them the classes: --data photos/${train} --set data.val_dir=photos/${val}`,
  );
  expect(hint(names, false)).toBeUndefined();
});

test('of a split without classes, and below another folder; blanks are quoted', () => {
  expect(hint(['my set/train/1.png', 'my set/dev/2.png'])).toBe(
    'photos/my set/ has the folders train and dev: as subfolders they are two classes, and images of both are for training. ' +
      "If they are a split: --data 'photos/my set/train' --set data.val_dir='photos/my set/dev'",
  );
});

test.each([true, false])(
  'one folder around all others, whether or not a split is worth a word: %s',
  (split) => {
    expect(hint(['all/new/cat/1.png', 'all/new/dog/2.png', 'all/new/3.png'], split)).toBe(
      'All 3 images lie in photos/all/new/, which makes them one class. ' +
        'For the 2 folders in it as classes: --data photos/all/new/',
    );
  },
);

test.each([
  [['cat/1.png', 'dog/2.png']],
  [['train/1.png', 'car/2.png', 'boat/3.png']],
  [['trainer/1.png', 'value/2.png', 'tests of strength/3.png']],
  [['test/1.png', 'cat/2.png']],
  [['cat/1.png', 'cat/2.png']],
  [['cat/deep/1.png', 'cat/deep/2.png']],
  [['cat/deep/1.png', 'cat/2.png']],
  [['1.png', '2.png']],
  [['1.png', 'all/cat/2.png', 'all/dog/2.png']],
])('nothing of %j', (names) => {
  expect(hint(names)).toBeUndefined();
});

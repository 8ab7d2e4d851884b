import { imageSplits } from '../../src/data/dataset.js';
import { classOf } from '../../src/data/source.js';
import { firstOfEach, readPictures, spreadOver } from '../../src/museum/unseen.js';

const unseen = async () => {
  const none = { dir: null, val_dir: null, val_fraction: 0.5, labels: [] };
  return (await imageSplits({ ...none, drawn: 80, pictures: 'photographs' })).val;
};

test('the first of each class come first, then the second', async () => {
  const val = await unseen();
  const chosen = firstOfEach(val, 20);
  const classes = chosen.map((i) => classOf(val.source, i));
  expect(new Set(classes.slice(0, 10)).size).toBe(10);
  expect(chosen[0]).toBe(val.indices.find((i) => classOf(val.source, i) === classes[0]));
  expect(new Set(chosen).size).toBe(20);
  expect(firstOfEach({ ...val, indices: val.indices.slice(0, 3) }, 20)).toHaveLength(3);
});

test('some are spread evenly, of few all are taken', async () => {
  const val = await unseen();
  expect(spreadOver(val, 2).indices).toEqual([
    val.indices[0],
    val.indices[Math.floor(val.indices.length / 2)],
  ]);
  expect(spreadOver(val, 1000).indices).toEqual(val.indices);
});

test('pictures come in the order in which they are asked for', async () => {
  const val = await unseen();
  const [a = 0, b = 0] = val.indices;
  const there = await readPictures(val, [b, a], { size: 8 });
  const back = await readPictures(val, [a, b], { size: 8 });
  expect(there.names).toEqual([val.source.names[b], val.source.names[a]]);
  expect([...there.pictures].reverse()).toEqual(back.pictures);
});

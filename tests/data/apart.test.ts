import { apart, wholePicture } from '../../src/data/apart.js';
import { encodePng } from '../../src/data/pictures.js';

const picture = (width: number, values: readonly number[]) => ({
  ...{ width, height: values.length / width / 3 },
  data: Uint8Array.from(values),
});

test('pixels that differ are counted, and by how much at most', () => {
  const [a, b] = [picture(2, [0, 0, 0, 9, 9, 9]), picture(2, [0, 0, 0, 9, 12, 7])];
  expect(apart(a, b)).toEqual({ differing: 1, pixels: 2, most: 3 });
  expect(apart(a, a)).toEqual({ differing: 0, pixels: 2, most: 0 });
  expect(apart(a, picture(1, [0, 0, 0, 9, 9, 9]))).toBeUndefined();
});

test('a picture is read as it is, however long', async () => {
  const long = picture(
    7,
    Array.from({ length: 21 }, (_, i) => 12 * i),
  );
  expect(await wholePicture(await encodePng(long))).toEqual(long);
});

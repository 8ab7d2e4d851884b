import sharp from 'sharp';
import { tileGap, tilesOf } from '../../src/data/tiles.js';

test('pictures lie side by side, nothing between them', async () => {
  const [white, black] = [new Float32Array(12).fill(1), new Float32Array(12).fill(-1)];
  const { png, width, height } = await tilesOf([white, black, white], { size: 2, columns: 2 });
  expect([width, height]).toEqual([2 + tileGap + 2, 2 + tileGap + 2]);
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
  expect([info.width, info.height, info.channels]).toEqual([width, height, 4]);
  const at = (x: number, y: number) => [...data.subarray(4 * (y * width + x), 4 * (y * width + x) + 4)];
  expect([at(1, 1), at(2 + tileGap, 0), at(0, height - 1)]).toEqual([
    [255, 255, 255, 255],
    [0, 0, 0, 255],
    [255, 255, 255, 255],
  ]);
  expect([at(2, 0)[3], at(width - 1, height - 1)[3]]).toEqual([0, 0]);
});

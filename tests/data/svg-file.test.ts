import { execFileSync } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import { drawSvg, endDrawingsOn, isSvg, svgExtent } from '../../src/data/svg-file.js';

const svg = (inner: string): Buffer =>
  Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20">${inner}</svg>`);
const red = svg('<rect width="40" height="20" fill="red"/>');

test('SVG is known, packed or not; other files are none', () => {
  expect(
    [red, gzipSync(red), Buffer.from(`<?xml version="1.0"?>\n<!-- ${'x'.repeat(500)} -->${red}`)].map(isSvg),
  ).toEqual([true, true, true]);
  expect([Buffer.from('\x89PNG\r\n\x1a\n<svg '), Buffer.from('a text'), Buffer.alloc(0)].map(isSvg)).toEqual(
    Array(3).fill(false),
  );
});

test('it is drawn at any size', async () => {
  for (const file of [red, gzipSync(red)]) {
    expect(await svgExtent(file)).toEqual({ width: 40, height: 20 });
    const { data, channels } = await drawSvg(file, 'photographs', { width: 80, height: 40 });
    expect([channels, data.length, ...data.slice(0, 3)]).toEqual([3, 80 * 40 * 3, 255, 0, 0]);
  }
});

test('what unpacks to a flood, or to no SVG, is refused', async () => {
  const flood = gzipSync(Buffer.concat([red, Buffer.alloc(17 * 2 ** 20, 32)]));
  expect(flood.length).toBeLessThan(100_000);
  await expect(svgExtent(flood)).rejects.toThrow('an SVG of more than 16 MB');
  await expect(svgExtent(gzipSync(gzipSync(red)))).rejects.toThrow('no picture that can be read');
  await expect(svgExtent(gzipSync(red).subarray(0, 30))).rejects.toThrow('packed data that is damaged');
});

test('a drawing that takes too long, or too much memory, is ended with its process; the next one is drawn', async () => {
  const text = svg(`<text y="9">${'abc def '.repeat(6000)}</text>`);
  const extent = { width: 40, height: 20 };
  await drawSvg(red, 'photographs', extent);
  const began = performance.now();
  const limits = { seconds: 0.5, memory: 2 ** 30 };
  await expect(drawSvg(text, 'photographs', extent, limits)).rejects.toThrow(
    'a drawing that takes longer than 0.5 s',
  );
  expect(performance.now() - began).toBeLessThan(10_000);
  if (process.platform === 'linux') {
    await expect(drawSvg(text, 'photographs', extent, { seconds: 20, memory: 2 ** 20 })).rejects.toThrow(
      'a drawing that takes more than 1 MB',
    );
    const left = execFileSync('ps', ['-o', 'args', '--ppid', `${process.pid}`]).toString();
    expect(left).not.toContain('draw-svg');
  }
  expect((await drawSvg(red, 'photographs', extent)).data[0]).toBe(255);
});

test('whoever stops waits for no drawing, also not for those that wait; later ones are drawn', async () => {
  const text = svg(`<text y="9">${'abc def '.repeat(6000)}</text>`);
  const extent = { width: 40, height: 20 };
  const stopping = new AbortController();
  endDrawingsOn(stopping.signal);
  endDrawingsOn(stopping.signal);
  const drawings = Promise.allSettled(Array.from({ length: 8 }, () => drawSvg(text, 'photographs', extent)));
  const began = performance.now();
  setTimeout(() => stopping.abort(), 300);
  expect((await drawings).map(({ status }) => status)).toEqual(Array(8).fill('rejected'));
  expect(performance.now() - began).toBeLessThan(8000);
  expect((await drawSvg(red, 'photographs', extent)).data[0]).toBe(255);
});

test('what an SVG names elsewhere is not read', async () => {
  const href = 'xmlns:xlink="http://www.w3.org/1999/xlink" xlink:href';
  const file = svg(
    `<image ${href}="file:///etc/passwd" width="9" height="9"/><image ${href}="http://127.0.0.1:9/a.png" width="9" height="9"/>`,
  );
  expect((await drawSvg(file, 'photographs', { width: 4, height: 2 })).data.every((v) => v === 255)).toBe(
    true,
  );
});

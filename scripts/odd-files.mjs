// A folder of bad and odd pictures and files, and what is expected of each: for scripts/test-corpus.mjs and the tests.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import zlib from 'node:zlib';
import sharp from 'sharp';

const MB = 2 ** 20;

/** Counted, as a picture. */
const counts = { kind: 'counts' };
/** Named as unreadable, for such a reason. */
const named = (reason) => ({ kind: 'named', reason });
/** No picture at all: a note says so, or nobody does. */
const leftOut = { kind: 'left out' };

/** A picture with something to see, of `channels` 8-bit channels. */
function raw(width, height, channels = 3) {
  const data = Buffer.alloc(width * height * channels);
  for (let i = 0; i < data.length; i++) data[i] = (i * 37 + Math.floor(i / width) * 11) % 256;
  return sharp(data, { raw: { width, height, channels } });
}
const flat = (width, height, channels = 3) =>
  sharp({ create: { width, height, channels, background: { r: 200, g: 40, b: 90, alpha: 0.5 } } });

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(data.length);
  sum.writeUInt32BE(zlib.crc32(body));
  return Buffer.concat([length, body, sum]);
}

/** A PNG that claims a size, with so many bytes of zeros as its pixels. */
function png({ width, height, depth = 8, colour = 2, interlaced = 0, bytes = 1000, before = [] }) {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width);
  head.writeUInt32BE(height, 4);
  head.set([depth, colour, 0, 0, interlaced], 8);
  return Buffer.concat([
    ...[Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head), ...before],
    ...[chunk('IDAT', zlib.deflateSync(Buffer.alloc(bytes))), chunk('IEND', Buffer.alloc(0))],
  ]);
}

const svg = (inner, attributes = 'width="40" height="30"') =>
  Buffer.from(
    `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ${attributes}>${inner}</svg>`,
  );
const drawing = '<rect width="40" height="30" fill="green"/><circle cx="20" cy="15" r="9" fill="red"/>';

/** Each of one pixel; what they show lies at byte 8. */
function tiffPages(n) {
  const size = 2 + 12 * 8 + 4;
  const file = Buffer.alloc(24 + size * n);
  file.write('II*\0', 'latin1');
  file.writeUInt32LE(24, 4);
  const tags = [256, 257, 258, 259, 262, 273, 278, 279];
  const values = [1, 1, 8, 1, 1, 8, 1, 1];
  for (let i = 0; i < n; i++) {
    const at = 24 + size * i;
    file.writeUInt16LE(8, at);
    for (const [k, tag] of tags.entries()) {
      file.writeUInt16LE(tag, at + 2 + 12 * k);
      file.writeUInt16LE(tag === 273 || tag === 279 ? 4 : 3, at + 4 + 12 * k);
      file.writeUInt32LE(1, at + 6 + 12 * k);
      file.writeUInt32LE(values[k], at + 10 + 12 * k);
    }
    file.writeUInt32LE(i + 1 < n ? at + size : 0, at + size - 4);
  }
  return file;
}

function gifFrames(n, width = 4, height = 4) {
  const head = Buffer.from('GIF89a\0\0\0\0\x80\0\0\xff\0\0\0\xff\0', 'latin1');
  head.writeUInt16LE(width, 6);
  head.writeUInt16LE(height, 8);
  const frame = Buffer.from('21f90400000000002c00000000010001000002024c0100', 'hex');
  return Buffer.concat([head, ...Array(n).fill(frame), Buffer.from([0x3b])]);
}

/** What the JPEG of some bytes says of its size is replaced. */
function claimingJpeg(jpeg, side) {
  const file = Buffer.from(jpeg);
  for (let at = 2; at < file.length; at += 2 + file.readUInt16BE(at + 2)) {
    if (![0xc0, 0xc1, 0xc2].includes(file[at + 1])) continue;
    file.writeUInt16BE(side, at + 5);
    file.writeUInt16BE(side, at + 7);
    return file;
  }
  throw new Error('no frame');
}

/** The last scan of a progressive JPEG so many times. */
function manyScans(jpeg, n) {
  const last = jpeg.lastIndexOf('\xff\xda', undefined, 'latin1');
  const scan = jpeg.subarray(last, jpeg.length - 2);
  return Buffer.concat([jpeg.subarray(0, jpeg.length - 2), ...Array(n).fill(scan), jpeg.subarray(-2)]);
}

/**
 * Files as [name, bytes, what is expected]. @param all also those that are large, slow or take long to make
 */
async function odd(all) {
  const jpeg = await raw(60, 40).jpeg().toBuffer();
  const progressive = await raw(60, 40).jpeg({ progressive: true }).toBuffer();
  const plain = await raw(60, 40).png().toBuffer();
  const gif = await raw(30, 20).gif().toBuffer();
  const webp = await raw(60, 40).webp().toBuffer();
  const tiff = await raw(60, 40).tiff({ compression: 'lzw' }).toBuffer();
  const avif = await raw(64, 48).avif({ effort: 0 }).toBuffer();
  const animated = await sharp(
    [1, 2, 3].map((i) => ({
      create: { width: 20, height: 20, channels: 3, background: { r: 60 * i, g: 0, b: 9 } },
    })),
    { join: { animated: true } },
  )
    .gif({ delay: [10, 10, 10] })
    .toBuffer();
  const cut = (bytes, share) => bytes.subarray(0, Math.floor(bytes.length * share));
  const flipped = (bytes, at) => {
    const copy = Buffer.from(bytes);
    copy[at] ^= 0xff;
    return copy;
  };
  const none = named(/no picture that can be read/);
  const damaged = named(/./);
  const files = [
    // Right today.
    ['right/rgb.png', plain, counts],
    ['right/16-bit.png', await raw(40, 30).toColourspace('rgb16').png().toBuffer(), counts],
    ['right/16-bit-grey.png', await raw(40, 30, 1).toColourspace('grey16').png().toBuffer(), counts],
    ['right/grey.png', await raw(40, 30, 1).png().toBuffer(), counts],
    ['right/grey-alpha.png', await raw(40, 30, 2).png().toBuffer(), counts],
    ['right/alpha.png', await raw(40, 30, 4).png().toBuffer(), counts],
    ['right/palette.png', await raw(40, 30).png({ palette: true }).toBuffer(), counts],
    ['right/palette-alpha.png', await raw(40, 30, 4).png({ palette: true }).toBuffer(), counts],
    ['right/one-bit.png', png({ width: 16, height: 16, depth: 1, colour: 0, bytes: 16 * 3 }), counts],
    ['right/interlaced.png', await raw(40, 30).png({ progressive: true }).toBuffer(), counts],
    ['right/p3.png', await raw(40, 30).withIccProfile('p3').png().toBuffer(), counts],
    ['right/baseline.jpg', jpeg, counts],
    ['right/progressive.jpg', progressive, counts],
    ['right/grey.jpg', await raw(40, 30, 1).toColourspace('b-w').jpeg().toBuffer(), counts],
    ['right/cmyk.jpg', await raw(40, 30).toColourspace('cmyk').jpeg().toBuffer(), counts],
    ...(await Promise.all(
      [2, 3, 5, 6, 8].map(async (orientation) => [
        `right/orientation-${orientation}.jpg`,
        await raw(40, 30).withMetadata({ orientation }).jpeg().toBuffer(),
        counts,
      ]),
    )),
    ['right/lossy.webp', webp, counts],
    ['right/lossless.webp', await raw(40, 30, 4).webp({ lossless: true }).toBuffer(), counts],
    ['right/animated.gif', animated, counts],
    ['right/animated.webp', await sharp(animated, { animated: true }).webp().toBuffer(), counts],
    ['right/small-first-frame.gif', gifFrames(3), counts],
    ['right/lzw.tiff', tiff, counts],
    ['right/16-bit.tif', await raw(40, 30).toColourspace('rgb16').tiff().toBuffer(), counts],
    ['right/three-pages.tif', tiffPages(3), counts],
    ['right/a.avif', avif, counts],
    ['right/drawing.svg', svg(drawing), counts],
    ['right/packed.svgz', zlib.gzipSync(svg(drawing)), counts],
    ['right/1x1.png', await flat(1, 1).png().toBuffer(), counts],
    ['right/1x10000.png', await flat(1, 10000).png().toBuffer(), counts],
    ['right/10000x1.png', await flat(10000, 1).png().toBuffer(), counts],
    ['right/jpeg-named.png', jpeg, counts],
    ['right/png-named.jpg', plain, counts],
    ['right/webp-named.gif', webp, counts],
    ['right/svg-named.png', svg(drawing), counts],
    ['right/without-ending', plain, counts],
    ['right/photo.jpg_large', jpeg, counts],
    ['right/LOUD.PNG', plain, counts],
    ['right/garbage-behind.jpg', Buffer.concat([jpeg, Buffer.alloc(999, 7)]), counts],
    ['right/garbage-behind.png', Buffer.concat([plain, Buffer.alloc(999, 7)]), counts],
    // Names.
    ['names/ünï 日本 🐈.png', plain, counts],
    ['names/new\nline.png', plain, counts],
    ['names/\x1b]0;title\x07\x1b[2Jcleared.png', plain, counts],
    ['names/Next: vqgen sample\r.png', plain, counts],
    ['names/-n.png', plain, counts],
    ['names/%s %d $(id) `id`.png', plain, counts],
    ['names/"quoted" \'too\'.png', plain, counts],
    [`names/${'n'.repeat(251)}.png`, plain, counts],
    ['names/\u202egnp.exe.png', plain, counts],
    ['names/picture.jpg/inside.png', plain, counts],
    // No pictures, whatever they are called.
    ['no/empty.jpg', '', none],
    ['no/empty.png', '', none],
    ['no/empty.svg', '', none],
    ['no/text.jpg', 'this is no picture\n', none],
    ['no/page.png', '<!DOCTYPE html><html><body>404</body></html>', none],
    ['no/data.webp', '{"error": 404}', none],
    ['no/zeros.tif', Buffer.alloc(5000), none],
    ['no/\x1b[31mred\x1b[0m.jpg', 'x', none],
    ['no/old.bmp', Buffer.from('BM6\0\0\0\0\0\0\0', 'latin1'), none],
    ['no/grey.pgm', 'P5 1 1 255 x', none],
    ['no/packed.jpg', zlib.gzipSync('a text'), none],
    ['no/packed-cut.svgz', cut(zlib.gzipSync(svg(drawing)), 0.5), named(/packed data that is damaged/)],
    // Damaged.
    ...[0.1, 0.5, 0.9].flatMap((share) => [
      [`cut/${share}.jpg`, cut(jpeg, share), damaged],
      [`cut/${share}.png`, cut(plain, share), damaged],
      [`cut/${share}.webp`, cut(webp, share), damaged],
    ]),
    ['cut/progressive.jpg', cut(progressive, 0.4), damaged],
    ['cut/half.gif', cut(gif, 0.5), damaged],
    ['cut/half.tif', cut(tiff, 0.5), damaged],
    ['cut/half.avif', cut(avif, 0.5), damaged],
    ['cut/half.svg', cut(svg(drawing), 0.5), damaged],
    ['cut/flipped.png', flipped(plain, 60), damaged],
    ['cut/wrong-sum.png', flipped(plain, 40), damaged],
    // Claims.
    ['claims/60000x60000.png', png({ width: 60000, height: 60000 }), named(/pixel limit|exceeds/)],
    ['claims/most.png', png({ width: 2 ** 31 - 1, height: 2 ** 31 - 1 }), damaged],
    ['claims/0x0.png', png({ width: 0, height: 0 }), damaged],
    ['claims/interlaced.png', png({ width: 15000, height: 15000, interlaced: 1 }), named(/more than 512 MB/)],
    ['claims/16-bit.png', png({ width: 15000, height: 15000, depth: 16 }), named(/more than 512 MB/)],
    ['claims/rows.png', png({ width: 15000, height: 15000 }), damaged],
    ['claims/large.jpg', claimingJpeg(jpeg, 65500), named(/pixel limit|exceeds/)],
    ['claims/progressive.jpg', claimingJpeg(progressive, 16000), named(/more than 512 MB/)],
    ['claims/canvas.gif', gifFrames(1, 65535, 65535), counts],
    ['claims/frames.gif', gifFrames(20_000), named(/more than 10000 frames or pages/)],
    ['claims/pages.tif', tiffPages(20_000), named(/more than 10000 frames or pages/)],
    ['claims/scans.jpg', manyScans(progressive, 3000), damaged],
    [
      'claims/text.png',
      png({
        width: 8,
        height: 8,
        bytes: 200,
        before: [
          chunk('zTXt', Buffer.concat([Buffer.from('a\0\0'), zlib.deflateSync(Buffer.alloc(60 * MB))])),
        ],
      }),
      counts,
    ],
    [
      'claims/profile.png',
      png({
        width: 8,
        height: 8,
        bytes: 200,
        before: [
          chunk('iCCP', Buffer.concat([Buffer.from('a\0\0'), zlib.deflateSync(Buffer.alloc(60 * MB))])),
        ],
      }),
      counts,
    ],
    // SVG.
    [
      'svg/elsewhere.svg',
      svg(
        `${drawing}<image xlink:href="file:///etc/passwd" width="9" height="9"/><image xlink:href="http://127.0.0.1:9/a.png" width="9" height="9"/>`,
      ),
      counts,
    ],
    [
      'svg/entities.svg',
      Buffer.from(
        `<!DOCTYPE svg [<!ENTITY a0 "lol">${Array.from({ length: 12 }, (_, i) => `<!ENTITY a${i + 1} "${`&a${i};`.repeat(10)}">`).join('')}]>${svg('<text y="20">&a12;</text>')}`,
      ),
      damaged,
    ],
    [
      'svg/file-entity.svg',
      Buffer.from(`<!DOCTYPE svg [<!ENTITY f SYSTEM "file:///etc/passwd">]>${svg('<text y="9">&f;</text>')}`),
      damaged,
    ],
    ['svg/deep.svg', svg('<g>'.repeat(3000) + '</g>'.repeat(3000)), damaged],
    ['svg/no-size.svg', svg(drawing, 'width="0" height="0"'), damaged],
    ['svg/30000.svg', svg(drawing, 'width="30000" height="30000"'), named(/pixel limit|exceeds/)],
    [
      'svg/flood.svgz',
      zlib.gzipSync(Buffer.concat([svg(drawing), Buffer.alloc(100 * MB, 32)])),
      named(/an SVG of more than 16 MB/),
    ],
    // Litter and what is no picture's business.
    ['litter/.hidden.png', plain, leftOut],
    ['litter/Thumbs.db', 'x', leftOut],
    ['litter/.DS_Store', 'x', leftOut],
    ['litter/__MACOSX/._a.png', 'x', leftOut],
    ['litter/notes.txt', 'x', leftOut],
    ['litter/a.png.bak', plain, leftOut],
    ['litter/a.jpg.part', cut(jpeg, 0.5), leftOut],
    ['litter/raw.nef', tiff, leftOut],
    ['litter/a.xmp', '<x/>', leftOut],
    ['run/config.json', '{"vqgen":"0.1.0"}', leftOut],
    ['run/samples/a.png', plain, leftOut],
    ['exported/decoder.onnx', Buffer.from('\x08\x0a\x12\x05vqgen', 'latin1'), leftOut],
    ['exported/a.png', plain, leftOut],
  ];
  if (!all) return files;
  const uses = Array.from(
    { length: 20 },
    (_, i) => `<g id="a${i + 1}">${`<use xlink:href="#a${i}"/>`.repeat(10)}</g>`,
  );
  return [
    ...files,
    ['right/12000x12000.png', await flat(12000, 12000).png().toBuffer(), counts],
    [
      'right/9000x9000-progressive.jpg',
      await flat(9000, 9000).jpeg({ progressive: true }).toBuffer(),
      counts,
    ],
    [
      'svg/text.svg',
      svg(`<text y="9">${'abc def ghij '.repeat(3800)}</text>`),
      named(/a drawing that takes longer than 10 s/),
    ],
    [
      'svg/uses.svg',
      svg(`<defs><g id="a0"><rect width="1" height="1"/></g>${uses.join('')}</defs><use xlink:href="#a20"/>`),
      damaged,
    ],
    ['svg/elements.svgz', zlib.gzipSync(svg('<g/>'.repeat(3.9e6))), named(/takes more than|limit|exceeded/)],
  ];
}

/**
 * Makes the corpus. @returns what is expected of each name, and `close` for the socket in it
 */
export async function makeCorpus(folder, { all = true } = {}) {
  const expected = new Map();
  const place = (name) => path.join(folder, name);
  const put = (name, bytes, what) => {
    fs.mkdirSync(path.dirname(place(name)), { recursive: true });
    fs.writeFileSync(place(name), bytes);
    expected.set(name, what);
  };
  for (const [name, bytes, what] of await odd(all)) put(name, bytes, what);
  const sound = await raw(40, 40).png().toBuffer();
  for (let i = 0; i < 40; i++) put(`sound/${i}.png`, sound, counts);
  const sparse = (name, bytes, what) => {
    put(name, '', what);
    fs.truncateSync(place(name), bytes);
  };
  for (const [i, ending] of ['jpg', 'png', 'tif', 'webp', 'gif', 'svg'].entries())
    sparse(`sparse/${i}.${ending}`, 1.9e9, named(/a file of more than 256 MB/));
  if (all) sparse('sparse/200.jpg', 200 * MB, named(/no picture that can be read/));
  if (process.platform === 'linux') {
    const latin = Buffer.concat([
      Buffer.from(`${folder}/names/caf`),
      Buffer.from([0xe9]),
      Buffer.from('.png'),
    ]);
    fs.writeFileSync(latin, sound);
    expected.set('names/caf\\xE9.png', counts);
  }
  if (process.platform === 'win32') return { expected, close: async () => {} };

  const link = (to, name, what) => {
    fs.mkdirSync(path.dirname(place(name)), { recursive: true });
    fs.symlinkSync(to, place(name));
    if (what) expected.set(name, what);
  };
  execFileSync('mkfifo', [place('links-pipe.jpg'), place('litter/pipe.png')]);
  expected.set('links-pipe.jpg', leftOut).set('litter/pipe.png', leftOut);
  link('../links-pipe.jpg', 'links/to-pipe.jpg', leftOut);
  link('/dev/zero', 'links/zero.jpg', leftOut);
  link('/dev/zero', 'links/zero', leftOut);
  link('nowhere.png', 'links/dead.png', named(/no such file/));
  link('dead', 'links/dead-too', leftOut);
  link('circle-b.png', 'links/circle-a.png', named(/./));
  link('circle-a.png', 'links/circle-b.png', named(/./));
  link('../right/rgb.png', 'links/to-rgb.png', counts);
  link('../right/rgb.png', 'links/to-rgb.too.png', leftOut);
  link(place('right/alpha.png'), 'links/absolute.png', counts);
  link('rgb.png', 'right/another-name.png', leftOut);
  fs.linkSync(place('right/rgb.png'), place('right/hard-link.png'));
  expected.set('right/hard-link.png', counts);
  link('..', 'links/up');
  link('.', 'links/here');
  link('sound', 'linked-class');
  for (let i = 0; i < 40; i++) expected.set(`linked-class/${i}.png`, counts);
  for (let a = 0; a < 12; a++) {
    put(`web/${a}/a.png`, sound, counts);
    put(`web-${a}/a.png`, sound, counts);
  }
  for (let a = 0; a < 12; a++) {
    for (let b = 0; b < 12; b++) {
      link(`../${b}`, `web/${a}/to-${b}`);
      link(`../web-${b}`, `web-${a}/to-${b}`);
    }
  }
  const server = net.createServer();
  await new Promise((done) => server.listen(place('s.png'), done));
  expected.set('s.png', leftOut);
  return { expected, close: () => new Promise((done) => server.close(done)) };
}

/** Compares what a listing and its reading give, as [name, reason or undefined], with what is expected of them. */
export function faultsOf(expected, read) {
  const faults = [];
  for (const [name, what] of expected) {
    const found = read.has(name) ? (read.get(name) ?? 'counts') : 'left out';
    const right =
      what.kind === 'named'
        ? !['counts', 'left out'].includes(found) && what.reason.test(found)
        : found === what.kind;
    if (!right) faults.push(`${JSON.stringify(name)}: expected ${what.reason ?? what.kind}, found ${found}`);
  }
  for (const name of read.keys())
    if (!expected.has(name)) faults.push(`${JSON.stringify(name)}: not expected`);
  return faults;
}

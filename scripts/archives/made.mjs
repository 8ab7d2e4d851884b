// Archives of pictures, in memory: for tests, and for the scripts that try and measure their readers. A part is
// { name, bytes }.
import { buffer } from 'node:stream/consumers';
import { crc32, deflateRawSync } from 'node:zlib';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { pack } from 'tar-stream';

/**
 * @param parts with { name, bytes, stored } and, for archives that lie, { size, method, attributes } in place of those
 * that are true
 */
export function zipOf(parts) {
  const bodies = [];
  const list = [];
  let [at, listed] = [0, 0];
  for (const { name, bytes, stored, size = bytes.length, method = stored ? 0 : 8, attributes = 0 } of parts) {
    const data = stored ? Buffer.from(bytes) : deflateRawSync(bytes);
    const title = Buffer.from(name);
    const head = Buffer.alloc(46);
    head.writeUInt32LE(0x02014b50, 0);
    head.writeUInt16LE(3 << 8, 4);
    head.writeUInt16LE(method, 10);
    head.writeUInt32LE(crc32(bytes), 16);
    head.writeUInt32LE(data.length, 20);
    head.writeUInt32LE(size, 24);
    head.writeUInt16LE(title.length, 28);
    head.writeUInt32LE(attributes, 38);
    head.writeUInt32LE(at, 42);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), head.subarray(6, 32)]);
    bodies.push(local, title, data);
    list.push(head, title);
    at += local.length + title.length + data.length;
    listed += head.length + title.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(parts.length, 8);
  end.writeUInt16LE(parts.length, 10);
  end.writeUInt32LE(listed, 12);
  end.writeUInt32LE(at, 16);
  return Buffer.concat([...bodies, ...list, end]);
}

/** @param parts with { name, bytes } and what else a header has */
export async function tarOf(parts) {
  const archive = pack();
  const whole = buffer(archive);
  for (const { bytes, ...header } of parts) archive.entry(header, bytes);
  archive.finalize();
  return whole;
}

/**
 * As Hugging Face's `datasets` writes it: a struct of bytes and path, a number for the class, a note of the names.
 *
 * @param rows { bytes, label }, of which `label` is one of `classes`
 * @param o what `parquetWriteBuffer` takes besides
 */
export function parquetOf(rows, classes, o = {}) {
  const features = { image: { _type: 'Image' }, label: { _type: 'ClassLabel', names: classes } };
  const whole = parquetWriteBuffer({
    columnData: [
      {
        name: 'image',
        data: rows.map(({ bytes }) => bytes && { bytes: new Uint8Array(bytes), path: 'a.png' }),
      },
      { name: 'label', data: rows.map(({ label }) => BigInt(classes.indexOf(label))) },
    ],
    schema: [
      { name: 'root', num_children: 2 },
      { name: 'image', num_children: 2, repetition_type: 'OPTIONAL' },
      { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
      { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
      { name: 'label', type: 'INT64', repetition_type: 'OPTIONAL' },
    ],
    rowGroupSize: 4,
    kvMetadata: [{ key: 'huggingface', value: JSON.stringify({ info: { features } }) }],
    ...o,
  });
  return Buffer.from(whole);
}

/** @param shape [N, H, W] of pictures, [N] of labels */
export function idxOf(shape, bytes) {
  const head = Buffer.alloc(4 + 4 * shape.length);
  head.writeUInt32BE(0x800 + shape.length, 0);
  for (const [i, n] of shape.entries()) head.writeUInt32BE(n, 4 + 4 * i);
  return Buffer.concat([head, bytes]);
}

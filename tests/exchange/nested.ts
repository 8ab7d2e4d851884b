/** PyTorch files of dictionaries in dictionaries. */
import fs from 'node:fs';
import { openTensors } from '../../src/exchange/open.js';
import type { Written } from '../../src/exchange/torch-write.js';
import { writeZip } from '../../src/exchange/zip.js';

export interface Tree {
  readonly [key: string]: Tree | Written | number;
}

export async function tensorsOf(file: string): Promise<Record<string, Written>> {
  const opened = await openTensors(file);
  const tensors: Record<string, Written> = {};
  for (const name of Object.keys(opened.entries)) tensors[name] = await opened.read(name);
  await opened.close();
  return tensors;
}

const isTensor = (node: Tree | Written): node is Written => 'dtype' in node && typeof node.dtype === 'string';
const storages: Record<string, string> = { F64: 'DoubleStorage', F32: 'FloatStorage', I64: 'LongStorage' };

export async function writeNested(file: string, tree: Tree): Promise<void> {
  const stored: Written[] = [];
  const op = (code: string) => Buffer.from(code, 'latin1');
  const text = (value: string) => {
    const bytes = Buffer.from(value);
    return Buffer.concat([op('X'), Buffer.from(Uint32Array.of(bytes.length).buffer), bytes]);
  };
  const whole = (value: number) => Buffer.concat([op('J'), Buffer.from(Int32Array.of(value).buffer)]);
  const tuple = (values: readonly number[]) => Buffer.concat([op('('), ...values.map(whole), op('t')]);
  const pickle = (node: Tree | Written | number): Buffer => {
    if (typeof node === 'number') return whole(node);
    if (!isTensor(node)) {
      const pairs = Object.entries(node).flatMap(([key, value]) => [text(key), pickle(value)]);
      return Buffer.concat([op('}('), ...pairs, op('u')]);
    }
    const key = String(stored.push(node) - 1);
    const strides = node.shape.map((_, i) => node.shape.slice(i + 1).reduce((a, b) => a * b, 1));
    return Buffer.concat([
      op('ctorch._utils\n_rebuild_tensor_v2\n(('),
      ...[text('storage'), op(`ctorch\n${storages[node.dtype]}\n`), text(key), text('cpu')],
      ...[whole(node.data.length), op('tQ'), whole(0), tuple(node.shape), tuple(strides)],
      op('\x89ccollections\nOrderedDict\n)RtR'),
    ]);
  };
  const contents = Buffer.concat([op('\x80\x02'), pickle(tree), op('.')]);
  const handle = await fs.promises.open(file, 'w');
  await writeZip(
    handle,
    (async function* () {
      yield ['archive/data.pkl', contents] as const;
      for (const [i, { data }] of stored.entries())
        yield [`archive/data/${i}`, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)] as const;
    })(),
  );
  await handle.close();
}

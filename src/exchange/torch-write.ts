/**
 * Writes what `torch.save` would: a zip archive with a pickle (protocol 2) of the state dictionary, and each tensor's
 * values as an entry.
 */
import type { FileHandle } from 'node:fs/promises';
import { fitsHalf, type StoredPrecision, toHalf } from '../base/half.js';
import { must } from '../base/lookup.js';
import type { StoredTensor } from '../checkpoint/safetensors.js';
import { writeZip } from './zip.js';

/** A tensor to write; whole numbers stay what they are in half precision too. */
export type Written = Pick<StoredTensor, 'dtype' | 'shape' | 'data'>;

/** The values as they are stored; half precision has no place for some, whose tensor stays float32. */
export function inPrecision({ dtype, shape, data }: Written, precision: StoredPrecision): Written {
  const halved = precision === 'f16' && dtype === 'F32' && fitsHalf(data as Float32Array);
  return halved ? { dtype: 'F16', shape, data: toHalf(data as Float32Array) } : { dtype, shape, data };
}

const storages: Record<string, string> = {
  F64: 'DoubleStorage',
  F32: 'FloatStorage',
  F16: 'HalfStorage',
  I64: 'LongStorage',
  I32: 'IntStorage',
  U8: 'ByteStorage',
};

/**
 * A checkpoint `{epoch, global_step, state_dict}`.
 *
 * @param tensors by name, in the order that they are to have
 */
export async function writeTorch(
  handle: FileHandle,
  tensors: readonly (readonly [name: string, tensor: Written])[],
  { step }: { step: number },
): Promise<void> {
  async function* entries(): AsyncGenerator<readonly [string, Uint8Array]> {
    yield ['archive/data.pkl', checkpointPickle(tensors, step)];
    for (const [i, [, { data }]] of tensors.entries())
      yield [`archive/data/${i}`, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)];
    yield ['archive/version', Buffer.from('3\n')];
  }
  await writeZip(handle, entries());
}

function checkpointPickle(tensors: readonly (readonly [string, Written])[], step: number): Uint8Array {
  const state = [
    global('collections', 'OrderedDict'),
    op(')R('),
    ...tensors.flatMap(([name, tensor], i) => [text(name), tensorPickle(tensor, i)]),
    op('u'),
  ];
  return Buffer.concat([
    op('\x80\x02}('),
    ...[text('epoch'), integer(0), text('global_step'), integer(step), text('state_dict'), ...state],
    op('u.'),
  ]);
}

/** `_rebuild_tensor_v2(storage, 0, shape, strides, False, OrderedDict())` */
function tensorPickle({ dtype, shape, data }: Written, key: number): Uint8Array {
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((product, n) => product * n, 1));
  return Buffer.concat([
    global('torch._utils', '_rebuild_tensor_v2'),
    op('(('),
    ...[
      text('storage'),
      global('torch', must(storages[dtype], dtype)),
      text(String(key)),
      text('cpu'),
      integer(data.length),
    ],
    op('tQ'),
    ...[integer(0), tuple(shape), tuple(strides)],
    op('\x89'),
    ...[global('collections', 'OrderedDict'), op(')RtR')],
  ]);
}

const op = (code: string): Uint8Array => Buffer.from(code, 'latin1');
const global = (module: string, name: string): Uint8Array => op(`c${module}\n${name}\n`);
const tuple = (numbers: readonly number[]): Uint8Array =>
  Buffer.concat([op('('), ...numbers.map(integer), op('t')]);

function text(value: string): Uint8Array {
  const bytes = Buffer.from(value);
  const head = Buffer.alloc(5, 'X');
  head.writeUInt32LE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** BININT, or LONG1 of 8 bytes. */
function integer(value: number): Uint8Array {
  const bytes = Buffer.alloc(value < 2 ** 31 ? 5 : 10);
  if (value < 2 ** 31) {
    bytes.write('J', 'latin1');
    bytes.writeInt32LE(value, 1);
  } else {
    bytes.write('\x8a\x08', 'latin1');
    bytes.writeBigInt64LE(BigInt(value), 2);
  }
  return bytes;
}

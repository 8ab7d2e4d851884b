/**
 * Files of `torch.save`: the zip format (PyTorch 1.6 and later) and the one before it. Tensors are described when the
 * file is opened and read one by one; a view, or several tensors of one storage, is read as what it shows.
 */
import type { FileHandle } from 'node:fs/promises';
import { expected, type UserError } from '../base/errors.js';
import { fromBfloat, fromHalf } from '../base/half.js';
import { must, pairs } from '../base/lookup.js';
import { readAt } from '../base/pieces.js';
import { asThing, openRegular } from '../base/regular-file.js';
import { sizeOf } from '../base/tensor.js';
import type { StoredTensor } from '../checkpoint/safetensors.js';
import { longestPickle, Name, openPickles, type PickleHooks, type Value } from './pickle.js';
import { type Dictionary, isWrapper, unwrap } from './unwrap.js';
import { readZip } from './zip.js';

export interface TensorFile {
  /** What it holds, by name; `dtype` as in safetensors. */
  readonly entries: Readonly<Record<string, { readonly dtype: string; readonly shape: readonly number[] }>>;
  /** Numbers and texts that stand beside the tensors, such as `global_step`. */
  readonly notes: Readonly<Record<string, number | string>>;
  /** What lay around the tensors and was taken off, in words. */
  readonly unwrapped: readonly string[];
  /** Half precision is widened to F32; small integers become I32. */
  read(name: string): Promise<StoredTensor>;
  close(): Promise<void>;
}

interface Storage {
  readonly key: string;
  readonly type: Element;
  readonly length: number;
}

class TensorView {
  constructor(
    readonly storage: Storage,
    readonly offset: number,
    readonly shape: readonly number[],
    readonly strides: readonly number[],
  ) {}
}

const widths = {
  F64: 8,
  I64: 8,
  F32: 4,
  I32: 4,
  F16: 2,
  BF16: 2,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
};

type Element = keyof typeof widths;

const storageTypes: Record<string, Element> = {
  DoubleStorage: 'F64',
  FloatStorage: 'F32',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
};

/** Whether a file begins as one of PyTorch's does. */
export async function isTorchFile(file: string): Promise<boolean> {
  const handle = await openRegular(file, noFile(file));
  try {
    const head = await readAt(handle, 0, Math.min(4, (await handle.stat()).size));
    return isZip(head) || isPickle(head);
  } finally {
    await handle.close();
  }
}

const isZip = (head: Uint8Array): boolean => head[0] === 0x50 && head[1] === 0x4b;
const isPickle = ([first, version = 0]: Uint8Array): boolean =>
  first === 0x80 && version >= 2 && version <= 5;

const noFile = (file: string) => (received: string, cause?: unknown) =>
  expected('a PyTorch file', file, asThing(received), '', cause);

/** @throws UserError when the file is damaged, wants something executed, or holds no tensors by name */
export async function openTorchFile(file: string): Promise<TensorFile> {
  const handle = await openRegular(file, noFile(file));
  try {
    const { size } = await handle.stat();
    const { root, places } = isZip(await readAt(handle, 0, Math.min(4, size)))
      ? await readArchive(handle, size, file)
      : await readOldFormat(handle, size, file);
    const { tensors, notes, unwrapped } = stateOf(root, file);
    checkViews(tensors, places, size, file);
    return {
      entries: Object.fromEntries(
        Array.from(tensors, ([name, { storage, shape }]) => [name, { dtype: storage.type, shape }]),
      ),
      ...{ notes, unwrapped },
      read: (name) => readView(handle, must(tensors.get(name), name), places),
      close: () => handle.close(),
    };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Storage key → where its bytes begin, and how many there are. */
type Places = ReadonlyMap<string, { readonly begin: number; readonly size: number }>;

async function readArchive(
  handle: FileHandle,
  size: number,
  file: string,
): Promise<{ root: Value; places: Places }> {
  const zip = await readZip(handle, size, file);
  const main = zip.names.find((name) => name === 'data.pkl' || name.endsWith('/data.pkl'));
  if (main === undefined) {
    const script = zip.names.some((name) => name.endsWith('constants.pkl'));
    throw expected(
      'a PyTorch file',
      file,
      script ? 'a TorchScript module' : 'an archive without data.pkl',
      'Save the state dictionary: torch.save(model.state_dict(), …).',
    );
  }
  const prefix = main.slice(0, -'data.pkl'.length);
  const named = new Set(zip.names);
  const entry = async (name: string): Promise<Uint8Array> => {
    const { begin, size: length } = must((await zip.places([name])).get(name), name);
    if (length > longestPickle) throw broken(file, `its list of contents takes ${length} bytes`);
    return readAt(handle, begin, length);
  };
  const order = `${prefix}byteorder`;
  if (named.has(order) && Buffer.from(await entry(order)).toString() !== 'little') {
    throw expected('little-endian values', file, 'another byte order', 'Save it again on another machine.');
  }
  const storages = new Map<string, Storage>();
  const root = openPickles(await entry(main), hooks(storages), file).next();
  const data = [...storages.keys()].filter((key) => named.has(`${prefix}data/${key}`));
  const found = await zip.places(data.map((key) => `${prefix}data/${key}`));
  const places = new Map(data.map((key) => [key, must(found.get(`${prefix}data/${key}`), key)] as const));
  return { root, places };
}

/**
 * A magic number, a version, notes on the system, the object, the keys of the storages; then each storage's length and
 * values.
 */
async function readOldFormat(
  handle: FileHandle,
  size: number,
  file: string,
): Promise<{ root: Value; places: Places }> {
  const bytes = await readAt(handle, 0, Math.min(size, longestPickle));
  const storages = new Map<string, Storage>();
  const pickles = openPickles(bytes, hooks(storages), file);
  if (pickles.next() !== magic) {
    throw expected('a PyTorch file', file, 'a pickle of something else', 'Save it with torch.save.');
  }
  pickles.next();
  pickles.next();
  const root = pickles.next();
  const keys = pickles.next();
  let { at } = pickles;
  if (!Array.isArray(keys)) throw broken(file, 'its list of storages is missing');
  const places = new Map<string, { begin: number; size: number }>();
  for (const key of keys) {
    const storage = typeof key === 'string' ? storages.get(key) : undefined;
    if (!storage) throw broken(file, 'it has a storage that nothing uses');
    const length = storage.length * widths[storage.type];
    if (at + 8 + length > size) throw broken(file, 'it ends too early');
    places.set(storage.key, { begin: at + 8, size: length });
    at += 8 + length;
  }
  return { root, places };
}

/** 0x1950a86a20f9469cfc6c */
const magic = 119547037146038801333356n;

function broken(file: string, what: string): UserError {
  return expected('a PyTorch file', file, `a damaged one: ${what}`, 'It may be cut short: copy it again.');
}

/** What trainers keep beside the weights; of no use here. */
const opaque =
  /^(omegaconf\.|pytorch_lightning\.|lightning\.|lightning_fabric\.|argparse\.Namespace$|pathlib\.|numpy\.(core|_core)\.multiarray\.scalar$|numpy\.dtype$|_codecs\.encode$|torch\.(device|Size)$|typing\.Any$)/;

function hooks(storages: Map<string, Storage>): PickleHooks {
  return {
    isOpaque: (name) => opaque.test(name),
    persistent: (id) => {
      const [kind, type, key, , length] = Array.isArray(id) ? id : [];
      const dtype = type instanceof Name ? storageType(type.name) : undefined;
      if (kind !== 'storage' || !dtype || typeof key !== 'string' || !isWhole(length)) {
        throw new RangeError('a storage that is none');
      }
      if (Array.isArray(id) && id[5]) throw new RangeError('a storage that is a part of another');
      const storage: Storage = { key, type: dtype, length };
      storages.set(key, storage);
      return storage;
    },
    calls: {
      'collections.OrderedDict': ([pairs]) =>
        new Map(Array.isArray(pairs) ? (pairs as [Value, Value][]).map(([k, v]) => [k, v]) : []),
      'collections.defaultdict': () => new Map(),
      '__builtin__.set': ([items]) => new Set(Array.isArray(items) ? items : []),
      'builtins.set': ([items]) => new Set(Array.isArray(items) ? items : []),
      'torch._utils._rebuild_tensor': rebuildTensor,
      'torch._utils._rebuild_tensor_v2': rebuildTensor,
      'torch._utils._rebuild_parameter': ([tensor]) => tensor ?? null,
    },
  };
}

function storageType(name: string): Element | undefined {
  const [, type = ''] = /^torch\.(?:cuda\.|storage\.)?(\w+)$/.exec(name) ?? [];
  return Object.hasOwn(storageTypes, type) ? storageTypes[type] : undefined;
}

const isWhole = (v: Value | undefined): v is number => Number.isSafeInteger(v) && (v as number) >= 0;
const areWhole = (v: Value | undefined): v is number[] =>
  Array.isArray(v) && v.length <= 8 && v.every(isWhole);

function rebuildTensor([storage, offset, shape, strides]: readonly Value[]): TensorView {
  const isStorage = typeof storage === 'object' && storage !== null && 'key' in storage;
  if (
    !isStorage ||
    !isWhole(offset) ||
    !areWhole(shape) ||
    !areWhole(strides) ||
    shape.length !== strides.length
  ) {
    throw new RangeError('a tensor without storage, shape and strides');
  }
  return new TensorView(storage as Storage, offset, [...shape], [...strides]);
}

/** The state dictionary of a checkpoint, or of a file that is one. */
function stateOf(
  root: Value,
  file: string,
): { tensors: Map<string, TensorView>; unwrapped: readonly string[]; notes: TensorFile['notes'] } {
  const none = (received: string): UserError =>
    expected(
      'a PyTorch file with tensors by name',
      file,
      received,
      'Save the state dictionary: torch.save(model.state_dict(), …).',
    );
  if (!(root instanceof Map)) throw none('one that holds something else');
  const { tensors, unwrapped } = unwrap(dictionariesIn(root));
  if (tensors.size === 0) {
    const keys = [...root.keys()].filter((key) => typeof key === 'string').slice(0, 8);
    throw none(`one without any under the keys ${keys.join(', ')}`);
  }
  const notes = Array.from(root).filter(
    (pair): pair is [string, number | string] =>
      typeof pair[0] === 'string' && (typeof pair[1] === 'number' || typeof pair[1] === 'string'),
  );
  return { tensors, unwrapped, notes: Object.fromEntries(notes) };
}

/** Those of tensors by name, as deep as they lie in each other in files that are known; each once. */
function dictionariesIn(
  node: Map<Value, Value>,
  keys: readonly string[] = [],
  found = new Map<Value, Dictionary<TensorView>>(),
): Dictionary<TensorView>[] {
  const tensors = new Map<string, TensorView>();
  found.set(node, { keys, tensors });
  for (const [key, value] of node) {
    if (typeof key !== 'string') continue;
    if (value instanceof TensorView) tensors.set(key, value);
    else if (value instanceof Map && isWrapper(key) && keys.length < deepest && !found.has(value))
      dictionariesIn(value, [...keys, key], found);
  }
  return [...found.values()].filter(({ tensors }) => tensors.size > 0);
}

const deepest = 4;

/** Elements from the first to the last that a view shows; 0 where it shows none. */
const extent = ({ shape, strides }: TensorView): number =>
  shape.includes(0) ? 0 : pairs(shape, strides).reduce((sum, [n, stride]) => sum + (n - 1) * stride, 1);

/**
 * Every view within its storage, every storage within the file; and all of them together not much larger than the
 * file, which views that repeat values could be.
 */
function checkViews(
  tensors: ReadonlyMap<string, TensorView>,
  places: Places,
  size: number,
  file: string,
): void {
  let total = 0;
  for (const [name, view] of tensors) {
    const { storage, offset, shape } = view;
    const place = places.get(storage.key);
    const width = widths[storage.type];
    if (!place || place.size < storage.length * width || offset + extent(view) > storage.length) {
      throw broken(file, `the values of ${name} are missing`);
    }
    total += sizeOf(shape) * width;
  }
  if (total > 4 * size + (1 << 26))
    throw broken(file, `its tensors show ${total} bytes of the ${size} that it has`);
}

async function readView(handle: FileHandle, view: TensorView, places: Places): Promise<StoredTensor> {
  const { storage, offset, shape, strides } = view;
  const width = widths[storage.type];
  const length = extent(view);
  const { begin } = must(places.get(storage.key), `storage ${storage.key}`);
  const bytes = await readAt(handle, begin + offset * width, length * width);
  const { dtype, data } = decode(storage.type, bytes);
  const size = sizeOf(shape);
  const dense = shape.map((_, i) => sizeOf(shape.slice(i + 1)));
  if (size === length && strides.every((s, i) => s === dense[i] || shape[i] === 1))
    return { dtype, shape, data } as StoredTensor;
  const gathered = new (data.constructor as new (n: number) => typeof data)(size);
  gather(gathered, data, { shape, strides });
  return { dtype, shape, data: gathered } as StoredTensor;
}

/** Row-major values of a view, odometer-wise. */
function gather(
  to: { [i: number]: number | bigint; length: number },
  from: ArrayLike<number | bigint>,
  { shape, strides }: { shape: readonly number[]; strides: readonly number[] },
): void {
  const index = shape.map(() => 0);
  let at = 0;
  for (let i = 0; i < to.length; i++) {
    to[i] = from[at]!;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      at -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
}

/** @param bytes of its own buffer, from the start of it */
function decode(type: Element, { buffer }: Uint8Array): Pick<StoredTensor, 'dtype' | 'data'> {
  switch (type) {
    case 'F64':
      return { dtype: 'F64', data: new Float64Array(buffer) };
    case 'F16':
      return { dtype: 'F32', data: fromHalf(new Uint16Array(buffer)) };
    case 'BF16':
      return { dtype: 'F32', data: fromBfloat(new Uint16Array(buffer)) };
    case 'I64':
      return { dtype: 'I64', data: new BigInt64Array(buffer) };
    case 'I32':
      return { dtype: 'I32', data: new Int32Array(buffer) };
    case 'I16':
      return { dtype: 'I32', data: new Int32Array(new Int16Array(buffer)) };
    case 'I8':
      return { dtype: 'I32', data: new Int32Array(new Int8Array(buffer)) };
    case 'U8':
    case 'BOOL':
      return { dtype: 'U8', data: new Uint8Array(buffer) };
    default:
      return { dtype: 'F32', data: new Float32Array(buffer) };
  }
}

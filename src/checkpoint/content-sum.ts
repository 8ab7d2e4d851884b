/**
 * A safetensors file that carries a checksum of what it holds among its metadata: of the other metadata, and of the
 * type, shape and bytes of each tensor. Files without one are read as they are.
 */
import { createHash } from 'node:crypto';
import { expected } from '../base/errors.js';
import type { HostTensor, HostTensors } from '../base/tensor.js';
import {
  bytesOf,
  type Described,
  type FileSum,
  type Metadata,
  openSafetensors,
  type SafetensorsFile,
  type StoredTensor,
  type StoredTensors,
  toStored,
  writeSafetensors,
} from './safetensors.js';

const key = 'checksum';

/** The metadata with the checksum. @param tensors all of the file's */
export function withContentSum(metadata: Metadata, tensors: Record<string, Described>): Metadata {
  return { ...metadata, [key]: contentSum(metadata, tensors) };
}

/** A tensor of a file, whose type need not be one that vqgen knows. */
type Held = Omit<Described, 'dtype'> & { readonly dtype: string };

function contentSum(metadata: Metadata, tensors: Record<string, Held>): string {
  const named = <T>(record: Record<string, T>) => Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1));
  const held = named(tensors).map(([name, { dtype, shape, sha256 }]) => [name, dtype, [...shape], sha256]);
  return createHash('sha256')
    .update(JSON.stringify([named(metadata), held]))
    .digest('hex');
}

/** Tells weights apart by what they are, in whatever file they stand. */
export const weightsSum = (tensors: HostTensors): string => contentSum({}, describedAll(tensors));

const describedAll = (tensors: Record<string, HostTensor | StoredTensor>): Record<string, Described> =>
  Object.fromEntries(Object.entries(tensors).map(([name, t]) => [name, described(t)]));

export function described(t: HostTensor | StoredTensor): Described {
  const { dtype, shape, data } = toStored(t);
  return { dtype, shape, sha256: createHash('sha256').update(bytesOf(data)).digest('hex') };
}

/** As `writeSafetensors`, with the checksum. */
export function writeWithSum(
  file: string,
  tensors: Record<string, HostTensor | StoredTensor>,
  metadata: Metadata = {},
): Promise<FileSum> {
  return writeSafetensors(file, tensors, withContentSum(metadata, describedAll(tensors)));
}

/**
 * Looks at all of an open file that has a checksum.
 *
 * @param next what to do about a damaged one
 * @throws UserError where it is not what was saved
 */
export async function checkContent(opened: SafetensorsFile, file: string, next = ''): Promise<void> {
  const { [key]: saved, ...metadata } = opened.metadata;
  if (saved === undefined) return;
  const tensors: Record<string, Held> = {};
  for (const [name, { dtype, shape }] of Object.entries(opened.entries))
    tensors[name] = { dtype, shape, sha256: await opened.digest(name) };
  if (contentSum(metadata, tensors) === saved) return;
  throw expected('the file that was saved', file, 'other bytes: it is damaged', next);
}

/** As `readSafetensors`, of a file that may have a checksum, which is left out. @throws UserError too where it does not fit */
export async function readChecked(file: string): Promise<{ tensors: StoredTensors; metadata: Metadata }> {
  const opened = await openSafetensors(file);
  try {
    await checkContent(opened, file, 'Put back a copy of it.');
    const tensors: StoredTensors = {};
    for (const name of Object.keys(opened.entries)) tensors[name] = await opened.read(name);
    const { [key]: _, ...metadata } = opened.metadata;
    return { tensors, metadata };
  } finally {
    await opened.close();
  }
}

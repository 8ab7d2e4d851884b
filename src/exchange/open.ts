/** A file of tensors, whoever wrote it: PyTorch or safetensors. */
import { expected } from '../base/errors.js';
import { readAt } from '../base/pieces.js';
import { openRegular } from '../base/regular-file.js';
import { finite } from '../checkpoint/finite.js';
import { openSafetensors } from '../checkpoint/safetensors.js';
import { checkStandIn, standInBytes } from '../checkpoint/stand-in.js';
import { isTorchFile, openTorchFile, type TensorFile } from './torch-file.js';
import { unwrap } from './unwrap.js';

/**
 * What is read of it is finite, and F32 in place of F64.
 *
 * @throws UserError when there is no such file, or it is neither of the two; its `read` for a tensor that is not
 *   finite
 */
export async function openTensors(file: string): Promise<TensorFile> {
  checkStandIn(await headOf(file), 'a checkpoint', file);
  const opened = (await isTorchFile(file)) ? await openTorchFile(file) : await openNamed(file);
  return { ...opened, read: async (name) => finite(await opened.read(name), name, file) };
}

async function headOf(file: string): Promise<Uint8Array> {
  const next = 'Name a .ckpt, .pth, .pt or .safetensors file.';
  const handle = await openRegular(file, (received, cause) =>
    expected('a checkpoint', 'CHECKPOINT', `${file}, ${received}`, next, cause),
  );
  try {
    return await readAt(handle, 0, Math.min(standInBytes, (await handle.stat()).size));
  } finally {
    await handle.close();
  }
}

async function openNamed(file: string): Promise<TensorFile> {
  const { entries, metadata, read, close } = await openSafetensors(file);
  const named = Object.entries(entries).map(([name, entry]) => [name, { ...entry, name }] as const);
  const { tensors, unwrapped } = unwrap([{ keys: [], tensors: new Map(named) }]);
  const notes = Object.entries(metadata).map(([key, text]) => [
    key,
    Number.isNaN(Number(text)) ? text : Number(text),
  ]);
  return {
    entries: Object.fromEntries(tensors),
    ...{ notes: Object.fromEntries(notes), unwrapped, close },
    read: (name) => read(tensors.get(name)?.name ?? name),
  };
}

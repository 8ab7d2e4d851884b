/** A file of tensors, whoever wrote it: PyTorch or safetensors. */
import { existsSync, statSync } from 'node:fs';
import { expected } from '../base/errors.js';
import { openSafetensors } from '../checkpoint/safetensors.js';
import { isTorchFile, openTorchFile, type TensorFile } from './torch-file.js';

/** @throws UserError when there is no such file, or it is neither of the two */
export async function openTensors(file: string): Promise<TensorFile> {
  if (!existsSync(file) || statSync(file).isDirectory()) {
    const received = existsSync(file) ? `${file}, which is a folder` : `${file}, which does not exist`;
    throw expected('a checkpoint', 'CHECKPOINT', received, 'Name a .ckpt, .pth, .pt or .safetensors file.');
  }
  if (await isTorchFile(file)) return openTorchFile(file);
  const { entries, metadata, read, close } = await openSafetensors(file);
  const notes = Object.entries(metadata).map(([key, text]) => [
    key,
    Number.isNaN(Number(text)) ? text : Number(text),
  ]);
  return { entries, notes: Object.fromEntries(notes), read, close };
}

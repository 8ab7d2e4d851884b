/** ONNX files from outside of this process, on the CPU: a network of the user's own, and what vqgen exported. */
import os from 'node:os';
import { expected } from '../base/errors.js';
import { must } from '../base/lookup.js';
import { expectRegular, openRegular, type Refuse } from '../base/regular-file.js';
import type { HostTensor, HostTensors } from '../base/tensor.js';
import { readMetadata } from './onnx.js';
import { createSession, ort } from './runtime.js';
import { hostTensor, type Numbers, release, runSession, toOrt, whenFull } from './sessions.js';

/** Lengths of axes; of a free one its name, or −1. */
export type OnnxShape = readonly (number | string)[];

export interface OnnxFile {
  readonly input: OnnxShape;
  /** Of the first output, which is the one that counts. */
  readonly output: OnnxShape;
  run(input: HostTensor): Promise<HostTensor>;
  dispose(): Promise<void>;
}

/**
 * @param where the option that named the file, for errors
 * @throws UserError when there is no such file, ONNX Runtime does not read it, or it is no map from one float32 tensor
 *   to another
 */
export async function openOnnxFile(file: string, where: string, threads?: number): Promise<OnnxFile> {
  const wrong = wrongFile(file, where, 'Give a network with one float32 input.');
  const session = await openFile(file, wrong, threads);
  const [input, another] = session.inputMetadata;
  const [output] = session.outputMetadata;
  if (another || !isFloats(input) || !isFloats(output)) {
    await release(session);
    throw wrong(another ? 'which has more than one input' : 'whose input and output are not float32 tensors');
  }
  return {
    input: input.shape,
    output: output.shape,
    async run(images) {
      const results = await runSession(session, { [input.name]: toOrt(images) }, { advice: whenFull.graph });
      const result = must(results[output.name], output.name);
      return hostTensor(result.data as Numbers, result.dims);
    },
    dispose: () => release(session),
  };
}

/** A model with names, int64 at its borders where vqgen has int32. */
export interface OnnxModel {
  run(inputs: HostTensors): Promise<HostTensors>;
  dispose(): Promise<void>;
}

/** @throws UserError when there is no such file, or ONNX Runtime does not read it */
export async function openOnnxModel(file: string, where: string, threads?: number): Promise<OnnxModel> {
  const session = await openFile(file, wrongFile(file, where, 'Export it again.'), threads);
  return {
    async run(inputs) {
      const feeds = Object.fromEntries(Object.entries(inputs).map(([name, t]) => [name, toFile(t)]));
      const results = await runSession(session, feeds, { advice: whenFull.graph });
      return Object.fromEntries(Object.entries(results).map(([name, t]) => [name, fromFile(t)]));
    },
    dispose: () => release(session),
  };
}

/**
 * The metadata of an ONNX file, by key.
 *
 * @throws UserError when there is no such file, or it is none
 */
export async function readOnnxMetadata(file: string, where: string): Promise<Record<string, string>> {
  const wrong = wrongFile(file, where, 'Export it again.');
  const handle = await openRegular(file, wrong);
  try {
    const { size } = await handle.stat();
    const read = async (from: number, length: number): Promise<Uint8Array> => {
      const bytes = Buffer.alloc(Math.max(0, Math.min(length, size - from)));
      return bytes.subarray(0, (await handle.read(bytes, 0, bytes.length, from)).bytesRead);
    };
    return await readMetadata({ read, size });
  } catch (cause) {
    throw wrong('which is something else', cause);
  } finally {
    await handle.close();
  }
}

const wrongFile =
  (file: string, where: string, next: string): Refuse =>
  (received, cause) =>
    expected('an ONNX file', where, `${file}, ${received}`, next, cause);

async function openFile(
  file: string,
  wrong: Refuse,
  threads = os.availableParallelism(),
): Promise<ort.InferenceSession> {
  expectRegular(file, wrong);
  try {
    return await createSession(file, {
      executionProviders: ['cpu'],
      intraOpNumThreads: threads,
      logSeverityLevel: 4,
    });
  } catch (cause) {
    throw wrong('which ONNX Runtime cannot read', cause);
  }
}

function isFloats(
  metadata: ort.InferenceSession.ValueMetadata | undefined,
): metadata is ort.InferenceSession.TensorValueMetadata {
  return metadata?.isTensor === true && metadata.type === 'float32';
}

const toFile = (t: HostTensor): ort.Tensor =>
  t.dtype === 'float32'
    ? toOrt(t)
    : new ort.Tensor('int64', BigInt64Array.from(t.data as Int32Array, BigInt), t.shape);

const fromFile = ({ data, dims }: ort.Tensor): HostTensor =>
  hostTensor(data instanceof BigInt64Array ? Int32Array.from(data, Number) : (data as Numbers), dims);

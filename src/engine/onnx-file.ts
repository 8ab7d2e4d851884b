/** A network of the user's own, an ONNX file that vqgen knows nothing of, on the CPU. */
import fs from 'node:fs';
import os from 'node:os';
import * as ort from 'onnxruntime-node';
import { expected, type UserError } from '../base/errors.js';
import type { HostTensor } from '../base/tensor.js';
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
 * @throws UserError when there is no such file, ONNX Runtime does not read it, or it is no map from one float32 tensor to another
 */
export async function openOnnxFile(file: string, where: string, threads?: number): Promise<OnnxFile> {
  const wrong = (received: string, cause?: unknown): UserError =>
    expected('an ONNX file', where, `${file}, ${received}`, 'Give a network with one float32 input.', cause);
  const stat = fs.statSync(file, { throwIfNoEntry: false });
  if (!stat) throw wrong('which does not exist');
  if (!stat.isFile()) throw wrong('which is a folder');
  let session: ort.InferenceSession;
  try {
    session = await ort.InferenceSession.create(file, {
      executionProviders: ['cpu'],
      intraOpNumThreads: threads ?? os.availableParallelism(),
      logSeverityLevel: 4,
    });
  } catch (cause) {
    throw wrong('which ONNX Runtime cannot read', cause);
  }
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
      const result = results[output.name]!;
      return hostTensor(result.data as Numbers, result.dims);
    },
    dispose: () => release(session),
  };
}

function isFloats(
  metadata: ort.InferenceSession.ValueMetadata | undefined,
): metadata is ort.InferenceSession.TensorValueMetadata {
  return metadata?.isTensor === true && metadata.type === 'float32';
}

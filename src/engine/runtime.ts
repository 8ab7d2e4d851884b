/** The one way to ONNX Runtime: no other file imports it, or opens a session by itself. */
import './telemetry.js';
import * as ort from 'onnxruntime-node';

export { ort };

/**
 * A session whose threads take denormal numbers for zero: a softmax behind a mask is full of them, and computes six
 * times as long with them. For the calling thread ONNX Runtime obeys a process's first session alone, so every session
 * must ask for it.
 *
 * @param model its bytes, or the path of its file
 */
export function createSession(
  model: Uint8Array | string,
  { extra, ...options }: ort.InferenceSession.SessionOptions,
): Promise<ort.InferenceSession> {
  const session = { ...(extra?.session as object), set_denormal_as_zero: '1' };
  const asked = { ...options, extra: { ...extra, session } };
  return typeof model === 'string'
    ? ort.InferenceSession.create(model, asked)
    : ort.InferenceSession.create(model, asked);
}

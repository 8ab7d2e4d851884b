/** The one way to ONNX Runtime: no other file imports it. */
import './telemetry.js';

export * as ort from 'onnxruntime-node';

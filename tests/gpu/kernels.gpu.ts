/** Every kernel, as in `npm test`, on the WebGPU device against TF.js' cpu backend. */
import '../engine/kernels.test.js';
import '../engine/kernels-images.test.js';
import '../engine/kernels-tokens.test.js';
import '../engine/onnx-device-free-axis.test.js';

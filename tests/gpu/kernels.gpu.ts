/** Every kernel, as in `npm test`, on the WebGPU device against TF.js' cpu backend. */
import '../engine/kernels.test.js';
import '../engine/image-kernels.test.js';
import '../engine/free-axis.test.js';

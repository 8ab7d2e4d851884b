module.exports = globalThis.outside?.ort ?? require('onnxruntime-node'); // a child process is no test

globalThis.outside.tfjs.addCpuBackend();

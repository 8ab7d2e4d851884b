module.exports = globalThis.outside.tfjs.core;

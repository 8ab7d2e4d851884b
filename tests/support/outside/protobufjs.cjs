module.exports = globalThis.outside.package('protobufjs');

module.exports = globalThis.outside.package('yaml');

module.exports = globalThis.outside.package('zod');

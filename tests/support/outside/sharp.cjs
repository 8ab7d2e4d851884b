module.exports = globalThis.outside.package('sharp');

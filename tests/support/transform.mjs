import swc from '@swc/jest';

/**
 * Jest runs modules in a realm of their own, which looks a global up anew at every use, for more time than the arithmetic takes: these are
 * bound in each module. (`sandboxInjectedGlobals` does so for CommonJS.)
 */
const bound = ['Math', 'Number', 'Array', 'Object', 'Float32Array'];
const prefix = bound.map((name) => `const ${name} = globalThis.${name};`).join(' ');

export default {
  createTransformer(options) {
    const transformer = swc.createTransformer(options);
    const withGlobals =
      (method) =>
      (source, ...rest) =>
        transformer[method](`${prefix} ${source}`, ...rest);
    return {
      canInstrument: transformer.canInstrument,
      process: withGlobals('process'),
      processAsync: withGlobals('processAsync'),
      getCacheKey: withGlobals('getCacheKey'),
    };
  },
};

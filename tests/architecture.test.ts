import fs from 'node:fs';
import path from 'node:path';

/** Each room may import only what stands before it. */
const rooms = [
  'base',
  'config',
  'data',
  'nn',
  'engine',
  'checkpoint',
  'train',
  'perceptual',
  'stage1-vqgan',
  'tokenize',
  'stage2-transformer',
  'sample',
  'evaluate',
  'exchange',
  'library',
  'report',
  'museum',
  'cli',
];

const source = path.resolve('src');
const files = fs
  .readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.split(path.sep).join('/'));

/** Modules that a file names in `import … from`, `export … from` and `import(…)`, types included. */
function imports(file: string): string[] {
  const text = fs.readFileSync(path.join(source, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const found = text.matchAll(
    /(?:^|\n)\s*(?:import|export)\s+[^'";]*?from\s*'([^']+)'|(?:^|\n)\s*import\s*'([^']+)'|\bimport\(\s*'([^']+)'\s*\)/g,
  );
  return [...found].map(([, from, bare, dynamic]) => (from ?? bare ?? dynamic)!);
}

/** Files of `src` that a file imports. */
const local = (file: string): string[] =>
  imports(file)
    .filter((name) => name.startsWith('.'))
    .map((name) => path.posix.join(path.posix.dirname(file), name).replace(/\.js$/, '.ts'));

const room = (file: string): string => file.split('/')[0]!;

test('the imports are found', () => {
  expect(files.length).toBeGreaterThan(30);
  expect(local('cli/main.ts')).toContain('cli/commands.ts');
  expect(local('cli/commands.ts')).toContain('tokenize/tokenize.ts'); // import(…)
  for (const file of files) for (const target of local(file)) expect(files).toContain(target);
});

test('every file is in a room', () => {
  expect(files.filter((file) => !rooms.includes(room(file)))).toEqual([]);
});

test('rooms import leftward only', () => {
  const upward = files.flatMap((file) =>
    local(file)
      .filter((target) => rooms.indexOf(room(target)) > rooms.indexOf(room(file)))
      .map((target) => `${file} → ${target}`),
  );
  expect(upward).toEqual([]);
});

test('no file imports itself, through others or not', () => {
  const done = new Set<string>();
  const visit = (file: string, above: readonly string[]): void => {
    if (above.includes(file)) throw new Error([...above.slice(above.indexOf(file)), file].join(' → '));
    if (done.has(file)) return;
    for (const target of local(file)) visit(target, [...above, file]);
    done.add(file);
  };
  for (const file of files) visit(file, []);
});

test('no file is longer than 400 lines', () => {
  const lines = (file: string): number =>
    fs.readFileSync(path.join(source, file), 'utf8').split('\n').length - 1;
  expect(files.filter((file) => lines(file) > 400)).toEqual([]);
});

test('onnxruntime-node is imported and opens sessions in one file only, behind what keeps it from sending anything', () => {
  expect(files.filter((file) => imports(file).includes('onnxruntime-node'))).toEqual(['engine/runtime.ts']);
  expect(imports('engine/runtime.ts')).toEqual(['./telemetry.js', 'onnxruntime-node']);
  const ofPages = (file: string) => file.includes('/page/'); // onnxruntime-web, in a browser
  const opens = files.filter(
    (file) =>
      !ofPages(file) && /\.InferenceSession\.create\(/.test(fs.readFileSync(path.join(source, file), 'utf8')),
  );
  // the first and the last are programs of their own
  expect(opens).toEqual(['engine/adapter.ts', 'engine/runtime.ts', 'exchange/onnx/script.ts']);
});

test('only base/terminal.ts writes to the terminal; only cli/signals.ts and its thread hear signals', () => {
  const users = (what: RegExp): string[] =>
    files.filter((file) => what.test(fs.readFileSync(path.join(source, file), 'utf8'))).sort();
  const programs = ['engine/adapter.ts', 'exchange/onnx/script.ts']; // hold programs for processes of their own
  expect(users(/\bconsole\b/)).toEqual(['base/terminal.ts', ...programs]);
  expect(users(/\bstd(?:out|err)\b[?!]*\.(?:write|end)\b|'cli-progress'|\.pipe\(/)).toEqual([
    'base/terminal.ts',
  ]);
  expect(users(/\bprocess\.std(?:out|err)\b/)).toEqual(['cli/main.ts']); // where it is handed to the guard
  expect(users(/\bstreams?\.(?:write|end)\b/)).toEqual(['base/terminal.ts']);
  expect(users(/\bwrite(?:File)?Sync\((?:fd\b|\d)|\bprocess\.(?:_rawDebug|emitWarning)\b/)).toEqual([
    'base/terminal.ts',
  ]);
  expect(users(/\bprocess\.(?:on|once)\((?!'(?:exit|warning|uncaughtException)')/)).toEqual([
    'cli/signals.ts',
  ]);
});

test.each([
  ['sharp', 'data'],
  ['yargs-parser', 'cli'],
])('%s is imported in %s only', (module, only) => {
  const importers = files.filter((file) => imports(file).includes(module));
  expect(importers.length).toBeGreaterThan(0);
  expect(importers.filter((file) => room(file) !== only)).toEqual([]);
});

test('nothing reaches a network', () => {
  const modules = [
    'net',
    'http',
    'https',
    'http2',
    'dns',
    'dns/promises',
    'dgram',
    'tls',
    'inspector',
    'undici',
  ];
  const closed = new Set(modules.flatMap((name) => [name, `node:${name}`]));
  // `vqgen watch` serves a page to this machine: it waits for a browser, and asks nobody. No other command comes to it.
  const server = 'report/server.ts';
  expect(files.filter((file) => imports(file).some((name) => closed.has(name)))).toEqual([server]);
  expect(imports(server).filter((name) => closed.has(name))).toEqual(['node:http', 'node:net']);
  const users = (of: string): string[] => files.filter((file) => local(file).includes(of));
  expect([server, 'report/watch.ts', 'cli/watch.ts'].map(users)).toEqual([
    ['cli/watch.ts', 'report/watch.ts'],
    ['cli/watch.ts'],
    ['cli/tool-commands.ts'],
  ]);
  const calls = /\b(fetch|WebSocket|EventSource|XMLHttpRequest|getBuiltinModule)\s*\(/;
  const text = (file: string) => fs.readFileSync(path.join(source, file), 'utf8');
  // Pages in a browser ask for files of their own origin, which their own policy and tests hold them to.
  expect(files.filter((file) => !file.includes('/page/') && calls.test(text(file)))).toEqual([]);
});

test('a kind of prior is known to the table of kinds alone; GPT also where published transformers come in and go out', () => {
  const inside = (file: string): boolean => file.startsWith('stage2-transformer/gpt/');
  const users = files.filter((file) => !inside(file) && local(file).some(inside));
  expect(users.sort()).toEqual([
    'exchange/taming-names.ts',
    'exchange/taming-tensors.ts',
    'stage2-transformer/index.ts',
  ]);
});

/** Tests of what is no one file: several small ones together, or the whole. */
const ofMore = [
  ...['architecture', 'bits', 'end-to-end', 'kinds', 'gpu/small'],
  ...['nn/image-layers', 'nn/token-layers', 'evaluate/measures', 'engine/steps'],
];

test('a test is called by the file or folder that it tests, after which may stand what of it', () => {
  const tested = [
    ...files,
    ...fs.readdirSync('bin').map((file) => `bin/${file}`),
    ...fs.readdirSync('scripts').map((file) => `scripts/${file}`),
  ];
  const names = new Set(tested.flatMap((file) => [file.replace(/\.\w+$/, ''), path.posix.dirname(file)]));
  const named = (test: string): boolean =>
    names.has(test) || (/-[^/]*$/.test(test) && named(test.replace(/-[^-/]*$/, '')));
  const tests = fs
    .readdirSync('tests', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) =>
      file
        .split(path.sep)
        .join('/')
        .replace(/\.test\.ts$/, ''),
    );
  expect(tests.filter((test) => !named(test)).sort()).toEqual([...ofMore].sort());
});

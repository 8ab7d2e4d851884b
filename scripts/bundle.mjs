// Writes dist/bundle/: the command line with all JavaScript that it imports as one file, which Node reads in a fraction
// of the time, and which it need not compile a second time (bin/compiled.js); and the licences of the packages among it.
// Their native code stays where it is.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const out = path.join(root, 'dist/bundle');

/** What modules say by `import.meta.url`, and for packages that ask for a module as one of their own would. */
const banner = [
  "const { createRequire: _createRequire } = require('node:module');",
  "const _url = require('node:url').pathToFileURL(__filename).href;",
  'const _requireAs = (name) => _createRequire(require.resolve(name));',
].join('\n');

/** Where packages ask for native code: file, what it says, and what it is to say here. */
const asking = [
  ['sharp/dist/sharp.mjs', 'createRequire(import.meta.url)', "_requireAs('sharp')"],
  ['sharp/dist/utility.mjs', 'createRequire(import.meta.url)', "_requireAs('sharp')"],
  ['onnxruntime-node/dist/binding.js', 'require(`', "_requireAs('onnxruntime-node')(`"],
];
const fromTheirPlace = {
  name: 'from-their-place',
  setup({ onLoad }) {
    for (const [name, says, instead] of asking) {
      const filter = new RegExp(`/node_modules/${name}$`.replaceAll('/', '[\\\\/]').replaceAll('.', '\\.'));
      onLoad({ filter }, ({ path: file }) => {
        const text = fs.readFileSync(file, 'utf8');
        if (text.split(says).length !== 2) throw new Error(`${name} has not one ${says}`);
        return { contents: text.replace(says, () => instead), loader: 'js' };
      });
    }
  },
};

fs.rmSync(out, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: ['dist/cli/main.js'],
  outdir: out,
  bundle: true,
  format: 'cjs',
  outExtension: { '.js': '.cjs' },
  define: { 'import.meta.url': '_url' },
  platform: 'node',
  target: 'node20',
  mainFields: ['module', 'main'],
  external: ['node-fetch'], // which TF.js loads on a Node.js without fetch
  plugins: [fromTheirPlace],
  banner: { js: banner },
  metafile: true,
  logLevel: 'warning',
});

// Templates and regular expressions are left as they were written; bin/compiled.js reads a byte a character.
const file = path.join(out, 'main.cjs');
const escaped = (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
fs.writeFileSync(file, fs.readFileSync(file, 'utf8').replace(/[^\0-\x7f]/g, escaped));

const imported = Object.values(metafile.outputs).flatMap(({ imports }) => imports);
if (imported.some(({ kind }) => kind === 'dynamic-import'))
  throw new Error('Code that V8 has kept cannot import: use require.');

const inside = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.keys(inputs));
const packageOf = (file) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file)?.[0];
const packages = [...new Set(inside.map(packageOf))].filter(Boolean).sort();
const described = packages.map((folder) => {
  const { name, version, license, author } = JSON.parse(
    fs.readFileSync(path.join(root, folder, 'package.json'), 'utf8'),
  );
  const file = fs.readdirSync(path.join(root, folder)).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file && fs.readFileSync(path.join(root, folder, file), 'utf8').trim();
  const by = author ? `, by ${author.name ?? author}` : '';
  return { title: `${name} ${version}, ${license}${by}`, license, text };
});
const notices = described.map(({ title, license, text }) => {
  const other = described.find((one) => one.text && one.license === license);
  if (!text && !other) throw new Error(`${title}: no text of this licence is at hand`);
  return `${title}\n\n${text ?? `The text is below ${other.title}.`}\n`;
});
fs.writeFileSync(path.join(out, 'LICENSES.txt'), notices.join(`\n${'-'.repeat(80)}\n\n`));

/** The Python of a project, as far as it can be looked at without PyTorch. */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const folder = path.resolve('pytorch');
const sources = fs.readdirSync(folder).filter((name) => name.endsWith('.py'));

/** Syntax, names that are imported from each other and do not exist, and the modules that are not of Python's own. */
const look = `
import ast, sys, json
trees = {f[:-3]: ast.parse(open(f, encoding='utf-8').read(), f) for f in sys.argv[1:]}
defined = lambda tree: {n for s in ast.walk(tree) for n in (
    [s.name] if isinstance(s, (ast.FunctionDef, ast.ClassDef)) else
    [t.id for t in s.targets if isinstance(t, ast.Name)] if isinstance(s, ast.Assign) else
    [a.asname or a.name for a in s.names] if isinstance(s, (ast.Import, ast.ImportFrom)) else [])}
names = {m: defined(t) for m, t in trees.items()}
lost, others = [], set()
for module, tree in trees.items():
    own = {a.asname or a.name for s in ast.walk(tree) if isinstance(s, ast.Import) for a in s.names if a.name in trees}
    for s in ast.walk(tree):
        if isinstance(s, ast.ImportFrom) and s.module in trees:
            lost += [f'{module}: {s.module}.{a.name}' for a in s.names if a.name not in names[s.module]]
        elif isinstance(s, ast.Attribute) and isinstance(s.value, ast.Name) and s.value.id in own:
            if s.attr not in names[s.value.id]: lost.append(f'{module}: {s.value.id}.{s.attr}')
        if isinstance(s, ast.Import): others |= {a.name.split('.')[0] for a in s.names}
        if isinstance(s, ast.ImportFrom): others.add(s.module.split('.')[0])
print(json.dumps([lost, sorted(others - set(sys.stdlib_module_names) - set(trees))]))
`;

const python = ['python3', 'python'].find(
  (name) => spawnSync(name, ['-c', 'import sys; sys.exit(sys.version_info < (3, 10))']).status === 0,
);

(python ? test : test.skip)(
  `it is Python, knows its own names, and needs PyTorch and Pillow alone${python ? '' : ' (no Python here)'}`,
  () => {
    const { stdout, stderr } = spawnSync(python as string, ['-c', look, ...sources], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual([[], ['PIL', 'torch']]);
  },
);

test.each(sources)('%s is short, and so are its lines', (name) => {
  const lines = fs.readFileSync(path.join(folder, name), 'utf8').split('\n');
  expect(lines.length).toBeLessThanOrEqual(400);
  expect(lines.filter((line) => line.length > 120)).toEqual([]);
});

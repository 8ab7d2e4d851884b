/** Text that goes into pages: scripts of `page/` folders as they are compiled, and files of packages. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { inPackage } from '../base/root.js';

/** A compiled script. @param name `curves` of report/page/curves.ts */
export const pageScript = (name: string): string =>
  readFileSync(inPackage('dist/report/page', `${name}.js`), 'utf8');

const uplot = path.dirname(path.dirname(createRequire(inPackage('package.json')).resolve('uplot')));

/** uPlot, which draws charts: its script, which leaves `uPlot` in its module, under its licence, and its style. */
export function chartLibrary(): { script: string; style: string } {
  const textOf = (file: string): string => readFileSync(path.join(uplot, file), 'utf8');
  return {
    script: `/*!\n${textOf('LICENSE')}*/\n${textOf('dist/uPlot.iife.min.js')}`,
    style: textOf('dist/uPlot.min.css'),
  };
}

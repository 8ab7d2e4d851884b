/**
 * An HTML document in one file: style, scripts, pictures and data inside, nothing from outside. Light and dark as the
 * reader's system is, from 320 pixels of width on.
 */

/** What may stand in a document's text: escaped, or made by `html`. */
export interface Html {
  readonly html: string;
}

type Piece = Html | string | number | readonly Piece[];

/** Text with what is put into it escaped; of lists, one after another. */
export function html(texts: TemplateStringsArray, ...pieces: readonly Piece[]): Html {
  return { html: texts.map((text, i) => (i === 0 ? '' : written(pieces[i - 1]!)) + text).join('') };
}

function written(piece: Piece): string {
  if (typeof piece === 'string' || typeof piece === 'number') return escaped(`${piece}`);
  return 'html' in piece ? piece.html : piece.map(written).join('');
}

const escaped = (text: string): string => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

/** A PNG as the value of `src`. */
export const pngUrl = (png: Uint8Array): string =>
  `data:image/png;base64,${Buffer.from(png).toString('base64')}`;

export interface DocumentOptions {
  readonly title: string;
  readonly body: Html;
  /** Beside the style that all documents have. */
  readonly styles?: readonly string[];
  /** JavaScript modules without imports, run in turn. */
  readonly scripts?: readonly string[];
  /** JSON that scripts read: the text of `<script type="application/json" id=…>`, by id. */
  readonly data?: Readonly<Record<string, unknown>>;
  /** Whether it comes from a server that its scripts may ask for more; else nothing is loaded from anywhere. */
  readonly live?: boolean;
}

/** The whole file. A policy in it keeps a browser from loading anything from elsewhere. */
export function documentOf(o: DocumentOptions): string {
  const { title, body, styles = [], scripts = [], data = {}, live = false } = o;
  const own = live ? " 'self'; connect-src 'self'" : '';
  const policy = `default-src 'none'; img-src data: blob:${own}; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'`;
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<link rel="icon" href="data:,">
<title>${title}</title>
${[commonStyle, ...styles].map((css) => raw(`<style>\n${css.replaceAll('</', '<\\/')}\n</style>\n`))}</head>
<body>
${body}
${Object.entries(data).map(([id, value]) => raw(`<script type="application/json" id="${id}">${safeJson(value)}</script>\n`))}${scripts.map((js) => raw(`<script type="module">\n${js.replaceAll('</script', '<\\/script')}\n</script>\n`))}</body>
</html>
`.html;
}

const raw = (text: string): Html => ({ html: text });

/** Inside a script element only `<` could end it. */
const safeJson = (value: unknown): string => JSON.stringify(value).replaceAll('<', '\\u003c');

/** Colours of both schemes by name, and how text, tables and figures look. */
const commonStyle = `
:root {
  color-scheme: light dark;
  --paper: light-dark(#fcfcfa, #16181b);
  --ink: light-dark(#1c1d1f, #e6e6e3);
  --faint: light-dark(#5f6368, #a0a4a8);
  --line: light-dark(#dcdcd6, #34383d);
  --panel: light-dark(#f3f3ee, #1f2226);
  --accent: light-dark(#0b62a4, #6db7f2);
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1rem clamp(0.75rem, 3vw, 2rem) 4rem; max-width: 76rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0 0.25rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 0.5rem; padding-top: 0.75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.25rem 0 0.25rem; }
p { max-width: 44rem; margin: 0.5rem 0; }
a { color: var(--accent); }
small, figcaption, .faint { color: var(--faint); font-size: 0.875rem; }
figure { margin: 1rem 0; }
img { max-width: 100%; height: auto; }
.pixels { image-rendering: pixelated; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.75rem 0.25rem 0; text-align: left; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; }
code, pre { font: 0.875rem/1.45 ui-monospace, monospace; }
pre { padding: 0.75rem; background: var(--panel); border-radius: 4px; overflow-x: auto; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
`;

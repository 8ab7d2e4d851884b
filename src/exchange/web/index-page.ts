/** The document of a page that samples: the parts that its run can do, without what they show. */
import type { Description, PriorDescription } from './description.js';

/** @param script its module, an address relative to the page */
export function indexPage(of: Description, script: string): string {
  const { name, size, latentSays, prior, latent, precision, vqgen } = of;
  const draws = prior !== undefined || latent.kind === 'gaussian';
  const by = prior ? `; a ${prior.kind} of ${prior.described}` : '';
  const policy =
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; style-src 'self'; img-src blob: data:; base-uri 'none'; form-action 'none'";
  const title = escaped(name);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<link rel="icon" href="data:,">
<link rel="stylesheet" href="style.css">
<title>${title}</title>
<script type="module" src="${script}"></script>
</head>
<body>
<header>
<h1>${title}</h1>
<p class="faint">Pictures of ${size} × ${size} pixels, ${escaped(latentSays)}${escaped(by)}. Made with vqgen ${escaped(vqgen)}.</p>
</header>
<div id="served">
<p>This page needs JavaScript and a web server: browsers load no modules from a folder. In the folder of this page</p>
<pre>python3 -m http.server 8000</pre>
<p>serves it as http://localhost:8000, and so does any other server of files.</p>
</div>
<main id="run" hidden>
<p>All is computed in this browser; nothing is sent anywhere.</p>
${select('compute', 'Runs on', [
  ['webgpu', 'GPU (WebGPU, float32)'],
  ['wasm', 'CPU (WebAssembly, float32)'],
]).replace('<label>', '<label class="inline">')}
${precision === 'f16' ? '<p class="faint">The weights are in half precision: some codes are others than those of <code>vqgen sample</code>.</p>\n' : ''}${draws ? drawing(of) : ''}${prior ? changing(prior) : ''}${latent.kind === 'codes' ? '' : walking(of)}${prior ? '' : reconstructing}</main>
<div class="job"><progress id="progress" aria-label="Progress" hidden></progress>
<span id="status" role="status"></span>
<button type="button" id="cancel" hidden>Cancel</button></div>
</body>
</html>
`;
}

const escaped = (text: string): string => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

const label = (text: string, input: string): string => `<label>${text} ${input}</label>`;

function number(
  id: string,
  text: string,
  o: Record<'value' | 'min', number> & { max?: number; step?: string },
): string {
  const { value, min, max, step = '1' } = o;
  const most = max === undefined ? '' : ` max="${max}"`;
  return label(
    text,
    `<input type="number" id="${id}" value="${value}" min="${min}"${most} step="${step}" required>`,
  );
}

/** @param options value and text of each */
function select(
  id: string,
  text: string,
  options: readonly (readonly [string | number, string, boolean?])[],
): string {
  const all = options.map(
    ([value, text, off]) => `<option value="${value}"${off ? ' disabled' : ''}>${escaped(text)}</option>`,
  );
  return label(text, `<select id="${id}">${all.join('')}</select>`);
}

const file = (id: string, text: string): string =>
  label(text, `<input type="file" id="${id}" accept="image/*">`);

const act = (id: string, text: string): string =>
  `<button type="button" id="${id}" data-acts>${text}</button>`;

/** @param first what stands before the classes: its value is −1 */
const ofClasses = (
  id: string,
  text: string,
  first: string | undefined,
  classes: readonly string[],
): string =>
  classes.length === 0
    ? ''
    : select(id, text, [
        ...(first === undefined ? [] : [[-1, first] as const]),
        ...classes.map((name, i) => [i, name] as const),
      ]);

/** Of a seed: `--seed` of the command line may be as large. */
const seed = (id: string, text: string, value: number): string =>
  number(id, text, { value, min: 0, max: Number.MAX_SAFE_INTEGER });

function drawing(of: Description): string {
  const { prior, latent, temperature } = of;
  const classes = prior?.classes ?? (latent.kind === 'gaussian' ? latent.classes : []);
  return `<section aria-labelledby="drawing">
<h2 id="drawing">Draw</h2>
<p>The same seed and settings draw the pictures of <code>vqgen sample</code>.</p>
<form id="draw">
${ofClasses('class', 'Class', 'each in turn', classes)}
${seed('seed', 'Seed', of.seed)}
${number('n', 'Pictures', { value: 4, min: 1, max: 16 })}
${number('temperature', 'Temperature', { value: prior?.choice.temperature ?? temperature, min: 0.01, step: 'any' })}
${prior ? settings(prior) : ''}
<button class="main" data-acts>Draw</button>
</form>
<div id="drawn" class="pictures"></div>
</section>
`;
}

function settings({ choice, grids, guidance, passes }: PriorDescription): string {
  const most = Math.max(...grids.map(({ vocab }) => vocab));
  return `<details><summary>More settings</summary>
<div class="fields">
${number('top-k', 'Top-k (0: off)', { value: choice.topK, min: 0, max: most })}
${number('top-p', 'Top-p (1: off)', { value: choice.topP, min: 0.01, max: 1, step: 'any' })}
${guidance ? number('cfg-scale', 'Guidance (1: none)', { value: guidance.scale, min: 0, step: 'any' }) : ''}
${passes ? number('decode-steps', 'Passes', { value: passes.steps, min: 1, max: 1000 }) : ''}
${
  passes
    ? select(
        'order',
        'Order',
        [passes.order, ...(['halton', 'confidence'] as const).filter((name) => name !== passes.order)].map(
          (name) => [name, name],
        ),
      )
    : ''
}
</div></details>`;
}

function changing({ classes, untold, draws, kind }: PriorDescription): string {
  const anywhere = draws === 'anywhere';
  const brush = `<fieldset><legend>Brush</legend>
<p id="bench-says" class="faint">Paint over the picture what is to be drawn anew. With the keyboard: arrow keys move, space paints a cell or wipes it.</p>
<div class="fields">
<label>Width of the brush in cells <input type="range" id="brush" min="1" max="4" value="1"></label>
${act('reroll', 'Re-roll the painted part')}
${act('clear', 'Wipe')}
</div></fieldset>`;
  const inOrder = `<p id="bench-says" class="faint">This prior (${escaped(kind)}) draws in order, row by row: it continues a picture from the top or the left, and does not see what comes after. A part in the middle, or what lies before the lower or the right half, takes a prior of the kind maskgit.</p>`;
  return `<section aria-labelledby="changing">
<h2 id="changing">Change a picture</h2>
<p>Press “Change” below a picture that was drawn, or open one of yours; its middle square is taken.</p>
<div class="fields">${file('own', 'A picture of yours')}</div>
<div id="working" hidden>
<div class="bench">
<canvas id="bench" ${anywhere ? 'class="paints" tabindex="0" role="application"' : 'tabindex="-1" role="img"'} aria-label="The picture that is changed" aria-describedby="bench-says"></canvas>
<div>
<div class="fields">
${seed('change-seed', 'Seed', 0)}
${ofClasses('change-class', 'Class', untold ? 'not told' : undefined, classes)}
</div>
${anywhere ? brush : inOrder}
<fieldset><legend>Complete</legend>
<div class="fields">
${select('keep', 'Keep the half', [
  ['top', 'top'],
  ['left', 'left'],
  ['right', anywhere ? 'right' : 'right (not by this prior)', !anywhere],
  ['bottom', anywhere ? 'bottom' : 'bottom (not by this prior)', !anywhere],
])}
${act('complete', 'Draw the rest')}
</div></fieldset>
</div>
</div>
<div id="changed" class="pictures"></div>
</div>
</section>
`;
}

function walking({ latent, seed: first }: Description): string {
  const gaussian = latent.kind === 'gaussian';
  const classes = gaussian ? latent.classes : [];
  const end = (id: string, text: string, value: number): string => `<fieldset><legend>${text}</legend>
<div class="fields">
${gaussian ? seed(`${id}-seed`, 'Seed', value) : ''}
${ofClasses(`${id}-class`, 'Class', undefined, classes)}
${file(`${id}-picture`, gaussian ? 'Or a picture of yours' : 'A picture of yours')}
</div></fieldset>`;
  const why = gaussian
    ? ''
    : '<p>Nothing is known of how an autoencoder’s latents lie, so that no seed draws one here: <code>vqgen sample</code> fits a Gaussian to the pictures of the training. Between two pictures of yours the way is straight.</p>\n';
  return `<section aria-labelledby="walk">
<h2 id="walk">Walk through the latent space</h2>
${why}<div class="ends">
${end('from', 'From', first)}
${end('to', 'To', first + 1)}
</div>
<label>On the way <input type="range" id="way" min="0" max="100" value="50"></label>
<div id="walking" hidden><canvas id="walked" role="img" aria-label="The picture on the way"></canvas></div>
</section>
`;
}

const reconstructing = `<section aria-labelledby="reconstructing">
<h2 id="reconstructing">Reconstruct a picture</h2>
<div class="fields">${file('reconstructed-picture', 'A picture of yours')}</div>
<div id="reconstructed" class="pictures"></div>
</section>
`;

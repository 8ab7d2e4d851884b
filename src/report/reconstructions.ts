/** Reconstructions of unseen pictures, each under its original behind a slider. */
import { type Html, html, pngUrl } from './document.js';
import type { Unseen } from './unseen.js';

export function reconstructionsSection({ images, of, psnr, shown, size }: Unseen): Html {
  const among =
    images < of ? `${images} of ${of} unseen pictures, spread evenly` : `all ${of} unseen pictures`;
  return html`<p>PSNR ${psnr.toFixed(2)} dB, the mean over ${among}. Shown are ${shown.length} of them, spread
evenly and not chosen by their looks. Left of the line is the reconstruction, right of it the original; move it with
the slider or the arrow keys.</p>
<div class="pictures">${shown.map(
    ({ name, original, reconstruction, psnr }) => html`<figure class="compare">
<div class="pair"><img class="pixels" width="${size}" height="${size}" src="${pngUrl(original)}" alt="Original: ${name}">
<img class="pixels over" width="${size}" height="${size}" src="${pngUrl(reconstruction)}" alt="Reconstruction of ${name}"></div>
<input type="range" min="0" max="100" value="50" aria-label="Percent of ${name} that show the reconstruction">
<figcaption><span class="name">${name}</span> ${psnr.toFixed(1)} dB</figcaption>
</figure>\n`,
  )}</div>`;
}

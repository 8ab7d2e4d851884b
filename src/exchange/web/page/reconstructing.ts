/** A picture of the user's, encoded and decoded again. */
import type { Desk } from './desk.js';
import { byId, maybe } from './dom.js';
import { figureOf, onPicture } from './pictures.js';

export function setUpReconstructing(desk: Desk): void {
  const input = maybe('reconstructed-picture', HTMLInputElement);
  if (!input) return;
  onPicture(input, desk.of.size, async (image) => {
    const latent = await desk.run('encode', { image });
    const decoded = latent && (await desk.run('decode', { latent }, 'Encoded and decoded again'));
    if (!decoded) return;
    const pictures = [
      { image, name: 'Your picture' },
      { image: decoded, name: 'What it becomes' },
    ];
    const figures = pictures.map(({ image, name }) =>
      figureOf({ image }, { name, file: name.toLowerCase().replaceAll(' ', '-') }),
    );
    byId('reconstructed', HTMLElement).replaceChildren(...figures);
  });
}

/** From one latent that is numbers to another: draws of two seeds, or pictures of the user's. */
import { arc, straight } from '../../../sample/ways.js';
import type { Desk } from './desk.js';
import { byId, chosenIn, maybe, numberIn, numberOr } from './dom.js';
import { onPicture, show } from './pictures.js';

const ends = ['from', 'to'] as const;

export function setUpWalking(desk: Desk): void {
  const { size, latent, temperature } = desk.of;
  const way = byId('way', HTMLInputElement);
  const images = new Map<string, Float32Array>();
  const points = new Map<string, Float32Array>();
  const join = latent.kind === 'gaussian' ? arc : straight;
  let shown = '';

  const pointOf = async (end: (typeof ends)[number]): Promise<Float32Array | undefined> => {
    const found = points.get(end);
    if (found) return found;
    const image = images.get(end);
    if (!image && latent.kind !== 'gaussian') return undefined;
    const ask = { seed: numberOr(`${end}-seed`, 0), label: chosenIn(`${end}-class`) };
    const point = image
      ? ((await desk.run('encode', { image })) as Float32Array | undefined)
      : await desk.run('point', { ...ask, temperature: numberOr('temperature', temperature) });
    if (point) points.set(end, point);
    return point;
  };

  /** Shows where the slider stands; while it moves on, only its last place counts. */
  const walk = async (): Promise<void> => {
    const [a, b] = [await pointOf('from'), await pointOf('to')];
    if (!a || !b) {
      if (latent.kind === 'plain') desk.say('Open two pictures, one for each end.');
      return;
    }
    const at = way.value;
    const image = await desk.run('decode', { latent: join(a, b, Number(at) / 100) });
    if (!image) return;
    show(byId('walked', HTMLCanvasElement), image);
    byId('walking', HTMLElement).hidden = false;
    shown = at;
    if (way.value !== shown) await walk();
  };

  way.addEventListener('input', walk);
  for (const end of ends) {
    const restart = (image?: Float32Array): void => {
      points.delete(end);
      if (image) images.set(end, image);
      else images.delete(end);
      void walk();
    };
    onPicture(byId(`${end}-picture`, HTMLInputElement), size, restart);
    maybe(`${end}-seed`, HTMLInputElement)?.addEventListener('change', () => {
      if (numberIn(`${end}-seed`) >= 0) restart();
    });
    maybe(`${end}-class`, HTMLSelectElement)?.addEventListener('change', () => restart());
  }
}

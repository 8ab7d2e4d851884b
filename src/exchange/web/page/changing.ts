/** A picture of which a part is drawn anew: what is painted over, or what lies beyond a half. */
import { coarsestSide, type Keep, pixelsBeyond } from '../../../sample/canvas-of.js';
import type { PriorDescription } from '../description.js';
import { setUpBrush } from './brush.js';
import type { Desk } from './desk.js';
import { byId, chosenIn, element, maybe, numberIn, numberOr } from './dom.js';
import type { Picture } from './messages.js';
import { figureOf, onPicture, show } from './pictures.js';
import { settingsOf } from './settings.js';

/** Proposals, as many as `vqgen complete` and `edit` make. */
const proposals = 4;

/** @returns takes a picture that is to be changed */
export function setUpChanging(desk: Desk, { grids, draws }: PriorDescription): (picture: Picture) => void {
  const { size, name: run } = desk.of;
  const bench = byId('bench', HTMLCanvasElement);
  const brush = setUpBrush(bench, {
    ...{ side: coarsestSide(grids), size, paints: draws === 'anywhere' },
    ...{ width: () => numberOr('brush', 1), say: desk.say },
  });
  let current: Picture | undefined;

  const take = (picture: Picture): void => {
    current = picture;
    const shown = element('canvas');
    show(shown, picture.image);
    brush.take(shown);
    byId('working', HTMLElement).hidden = false;
  };
  const use = (picture: Picture): void => {
    take(picture);
    const ofClass = maybe('change-class', HTMLSelectElement);
    if (ofClass && picture.label !== undefined) ofClass.value = `${picture.label}`;
    bench.scrollIntoView({ block: 'center' });
    bench.focus({ preventScroll: true });
    desk.say('The picture is on the bench.');
  };

  const change = async (pixels: Uint8Array, said: string): Promise<void> => {
    if (!current) return;
    if (!pixels.includes(1)) {
      desk.say('Nothing is painted over yet: paint the part that is to be drawn anew.');
      return;
    }
    const set = [byId('change-seed', HTMLInputElement), byId('draw', HTMLFormElement)];
    if (!set.every((inputs) => inputs.reportValidity())) return;
    const seed = numberIn('change-seed');
    const asked = { picture: current, pixels, label: chosenIn('change-class'), seed, n: proposals };
    const pictures = await desk.run('paint', { ...asked, settings: settingsOf(desk.of) }, said);
    if (!pictures) return;
    const figures = pictures.map((picture, i) =>
      figureOf(picture, {
        name: `Proposal ${i}`,
        file: `${run}-changed-${seed}-${i}`,
        onUse: () => use(picture),
      }),
    );
    byId('changed', HTMLElement).replaceChildren(...figures);
  };

  onPicture(byId('own', HTMLInputElement), size, (image) => take({ image }));
  maybe('clear', HTMLButtonElement)?.addEventListener('click', () => brush.clear());
  maybe('reroll', HTMLButtonElement)?.addEventListener('click', () =>
    change(brush.pixels(), 'The painted part drawn anew, four times'),
  );
  byId('complete', HTMLButtonElement).addEventListener('click', () => {
    const keep = byId('keep', HTMLSelectElement).value as Keep;
    return change(pixelsBeyond(keep, grids, size), 'The rest drawn, four times');
  });
  return use;
}

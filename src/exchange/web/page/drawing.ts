/** Pictures drawn from a seed, as `vqgen sample` draws them. */
import type { Desk } from './desk.js';
import { byId, chosenIn, maybe, numberIn } from './dom.js';
import type { Picture } from './messages.js';
import { figureOf } from './pictures.js';
import { settingsOf } from './settings.js';

/** @param onUse called with a picture that is to be changed; none where nothing can be */
export function setUpDrawing(
  desk: Desk,
  classes: readonly string[],
  onUse?: (picture: Picture) => void,
): void {
  const form = maybe('draw', HTMLFormElement);
  form?.addEventListener('submit', async (event) => {
    event.preventDefault();
    const [seed, n, chosen] = [numberIn('seed'), numberIn('n'), chosenIn('class')];
    const labels = chosen >= 0 ? [chosen] : [...classes.keys()];
    const settings = settingsOf(desk.of);
    const said = n === 1 ? 'One picture drawn' : `${n} pictures drawn`;
    const pictures = await desk.run('draw', { seed, n, labels, settings }, said);
    if (!pictures) return;
    const figures = pictures.map((picture, i) => {
      const ofClass = classes[picture.label ?? -1];
      return figureOf(picture, {
        name: `Picture ${i}${ofClass === undefined ? '' : `, ${ofClass}`}`,
        file: `${desk.of.name}-${seed}-${i}`,
        onUse: onUse && (() => onUse(picture)),
      });
    });
    byId('drawn', HTMLElement).replaceChildren(...figures);
  });
}

/** In each `.film` one `.frame` is shown, chosen by the range input; the button plays them, where motion is wished. */
const still = matchMedia('(prefers-reduced-motion: reduce)');

for (const film of document.querySelectorAll<HTMLElement>('.film')) {
  const frames = [...film.querySelectorAll<HTMLElement>('.frame')];
  const range = film.querySelector<HTMLInputElement>('input[type=range]');
  const button = film.querySelector('button');
  if (!range || !button) continue;
  let timer: number | undefined;

  const show = (at: number): void => {
    for (const [i, frame] of frames.entries()) frame.hidden = i !== at;
    range.value = `${at}`;
    range.setAttribute('aria-valuetext', frames[at]?.dataset.label ?? `${at}`);
  };
  const stop = (): void => {
    clearInterval(timer);
    timer = undefined;
    name();
  };
  const name = (): void => {
    button.textContent = still.matches ? 'Next pass' : timer === undefined ? 'Play' : 'Pause';
  };
  const next = (): number => (Number(range.value) + 1) % frames.length;

  button.addEventListener('click', () => {
    if (still.matches) show(next());
    else if (timer !== undefined) stop();
    else {
      show(next());
      timer = setInterval(() => {
        show(next());
        if (Number(range.value) === frames.length - 1) stop();
      }, 700);
      name();
    }
  });
  range.addEventListener('input', () => {
    stop();
    show(Number(range.value));
  });
  still.addEventListener('change', stop);
  name();
}

export {};

/** In each `.compare`, the range input says how much of the second picture lies over the first. */
for (const figure of document.querySelectorAll<HTMLElement>('.compare')) {
  const slider = figure.querySelector<HTMLInputElement>('input[type=range]');
  const show = (): void => figure.style.setProperty('--share', `${slider?.value ?? 50}%`);
  slider?.addEventListener('input', show);
  show();
}

export {};

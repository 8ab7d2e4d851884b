/** What pages ask of their document. */

/** The element of that id. @throws Error where there is none of that kind */
export function byId<E extends HTMLElement>(id: string, kind: new () => E): E {
  const found = document.getElementById(id);
  if (found instanceof kind) return found;
  throw new Error(`no ${kind.name} #${id}`);
}

/** The same, where the page may do without. */
export const maybe = <E extends HTMLElement>(id: string, kind: new () => E): E | undefined =>
  document.getElementById(id) ? byId(id, kind) : undefined;

/** The number in an input of that id. */
export const numberIn = (id: string): number => byId(id, HTMLInputElement).valueAsNumber;

/** The number in an input that the page may do without. */
export const numberOr = (id: string, otherwise: number): number =>
  maybe(id, HTMLInputElement)?.valueAsNumber ?? otherwise;

/** The number that a `select` stands at; −1 unless the page has one. */
export const chosenIn = (id: string): number => Number(maybe(id, HTMLSelectElement)?.value ?? -1);

/** An element with properties, and others in it. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  properties: Partial<HTMLElementTagNameMap[K]> = {},
  ...inside: readonly (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...inside);
  return made;
}

export function button(text: string, name: string, act: () => void): HTMLButtonElement {
  const made = element('button', { type: 'button', ariaLabel: name }, text);
  made.addEventListener('click', act);
  return made;
}

/** SVG shapes as text, on a canvas of 100 × 100 units. */
import { must } from '../base/lookup.js';
import type { Rng } from '../base/rng.js';

export function rect(x: number, y: number, width: number, height: number, fill: string): string {
  return `<rect x="${x}" y="${y}" width="${width}" height="${height}" fill="${fill}"/>`;
}

export function circle(x: number, y: number, r: number, fill: string): string {
  return `<circle cx="${x}" cy="${y}" r="${r}" fill="${fill}"/>`;
}

export function ellipse(x: number, y: number, rx: number, ry: number, fill: string): string {
  return `<ellipse cx="${x}" cy="${y}" rx="${rx}" ry="${ry}" fill="${fill}"/>`;
}

export function polygon(points: string, fill: string): string {
  return `<polygon points="${points}" fill="${fill}"/>`;
}

export function path(d: string, fill: string): string {
  return `<path d="${d}" fill="${fill}"/>`;
}

export function line(d: string, stroke: string, width: number): string {
  return `<path d="${d}" fill="none" stroke="${stroke}" stroke-width="${width}" stroke-linecap="round"/>`;
}

/** Left and right exchanged. */
export function mirror(shapes: string): string {
  return `<g transform="translate(100 0) scale(-1 1)">${shapes}</g>`;
}

/** The whole canvas, from one colour at the top to another at the bottom. A drawing has one at most. */
export function gradient(top: string, bottom: string): string {
  return `<linearGradient id="g" x1="0" y1="0" x2="0" y2="1"><stop offset="0" stop-color="${top}"/><stop offset="1" stop-color="${bottom}"/></linearGradient>${rect(0, 0, 100, 100, 'url(#g)')}`;
}

/** Patterns that lighten the whole canvas in places. */
const veil = 'rgba(255,255,255,0.45)';
export const stripes = [0, 1, 2, 3].map((i) => rect(i * 25, 0, 12.5, 100, veil)).join('');
export const dots = [0, 1, 2, 3, 4]
  .flatMap((row) =>
    [0, 1, 2, 3, 4].map((column) => circle(column * 25 + (row % 2) * 12.5, row * 25, 6, veil)),
  )
  .join('');

export function pick<T>(rng: Rng, choices: readonly T[]): T {
  return must(choices[rng.below(choices.length)], 'choice');
}

export function between(rng: Rng, low: number, high: number): number {
  return low + (high - low) * rng.uniform();
}

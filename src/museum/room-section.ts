/** One room of the page. */
import { formatDuration } from '../base/progress.js';
import { type Html, html } from '../report/document.js';
import type { Exhibit, FigureSize } from './ledger.js';
import { figureColumns } from './places.js';
import { hasOwnTokenizer, type Room } from './rooms.js';

/** A picture of a room, ready to be shown. */
export interface Hung extends FigureSize {
  readonly url: string;
}

/** A room that stands. */
export interface Visit {
  readonly room: Room;
  readonly exhibit: Exhibit;
  readonly figures: Readonly<Record<string, Hung>>;
}

/** Times its own size, where there is room. */
const zoom = 3;

const image = ({ width, height, url }: Hung, alt: string, over = ''): Html =>
  html`<img class="pixels ${over}" src="${url}" width="${zoom * width}" height="${zoom * height}" alt="${alt}">`;

/** @param o.trained seconds */
export function roomSection(
  visit: Visit,
  { originals, before, trained }: { originals: string; before?: Visit; trained: number },
): Html {
  const { room, exhibit, figures } = visit;
  const { reconstructions, samples, between, seen, restored, normal } = figures;
  const clean = figures.originals;
  return html`<section class="room" id="${room.name}">
<h2>${room.title}, ${room.year}</h2>
<p>${room.changed} ${room.look}</p>
<p class="faint">${room.source}. vqgen: <code>--config ${room.config}</code>${room.revise === undefined ? '' : html`, <code>--revise ${room.revise}</code>`}.</p>
${facts(visit, trained)}
${
  reconstructions && hasOwnTokenizer(room)
    ? html`<h3>Reconstructions</h3>
${slider({
  under: image({ ...reconstructions, url: originals }, `${reconstructions.pictures} unseen pictures`),
  over: image(reconstructions, `The same pictures, reconstructed by ${room.short}`, 'over'),
  label: `How much of the reconstructions by ${room.short} is shown`,
  caption: `Left of the line reconstructions, right of it the unseen pictures themselves: the first of each class by name, then the second.`,
})}`
    : ''
}
${
  seen && restored && clean
    ? html`<h3>Restored</h3>
<figure>${image(clean, 'Unseen pictures')}${image(seen, 'The same as the encoder sees them')}${image(restored, `The same, restored by ${room.short}`)}
<figcaption>Clean, what the encoder sees (${decibels(exhibit.corrupted?.seen)}), what comes back (${decibels(exhibit.corrupted?.restored)}).</figcaption></figure>`
    : ''
}
${
  between && !seen
    ? html`<h3>From one picture to another</h3>
<figure>${image(between, `From one unseen picture to another through the numbers of ${room.short}`)}
<figcaption>The outermost are the pictures themselves; between them is decoded what lies on a straight line between their numbers.</figcaption></figure>`
    : ''
}
${
  normal && !seen
    ? html`<h3>Random numbers</h3>
<figure>${image(normal, `What ${room.short} decodes random numbers to`)}
<figcaption>Decoded from a normal distribution, N(0, I): the numbers that the VAE’s first samples are drawn from, too.</figcaption></figure>`
    : ''
}
${samples ? samplesOf(visit, samples, before) : ''}
</section>`;
}

function samplesOf({ room, exhibit }: Visit, samples: Hung, before: Visit | undefined): Html {
  const other = room.revise === undefined ? undefined : before?.figures.samples;
  const drawnFrom =
    exhibit.latent.includes('codes') || exhibit.bits
      ? ''
      : ' from a Gaussian fitted to the numbers of training pictures';
  const classes = columnsOf(exhibit.classes);
  const caption = `The first ${samples.pictures} of the seed${drawnFrom}, none left out${classes}.`;
  return html`<h3>Samples</h3>
${
  other && before
    ? slider({
        under: image(other, `Samples of ${before.room.short}`),
        over: image(samples, `Samples of ${room.short}`, 'over'),
        label: `How much of the samples of ${room.short} is shown, over those of ${before.room.short}`,
        caption: `Left of the line with revision, right of it without. ${caption}`,
      })
    : html`<figure>${image(samples, `Samples of ${room.short}`)}<figcaption>${caption}</figcaption></figure>`
}`;
}

/** `; columns: boat, cat, …` */
export function columnsOf(classes: readonly string[]): string {
  if (classes.length === 0) return '';
  const columns = Array.from({ length: figureColumns }, (_, i) => classes[i % classes.length]);
  return `; columns, from the left: ${columns.join(', ')}`;
}

function slider(o: { under: Html; over: Html; label: string; caption: string }): Html {
  return html`<figure class="compare"><div class="pair">${o.under}${o.over}</div>
<input type="range" min="0" max="100" value="50" aria-label="${o.label}">
<figcaption>${o.caption}</figcaption></figure>`;
}

const decibels = (value: number | undefined): string => (value === undefined ? '' : `${value.toFixed(1)} dB`);

function facts({ room, exhibit }: Visit, trained: number): Html {
  const { latent, parameters, psnr, rfd_vqgen, fd_vqgen, settings } = exhibit;
  const { tokenizer, prior } = parameters;
  const drawn = Object.entries(settings).map(
    ([key, value]) => `${key} ${typeof value === 'number' ? Number(value.toPrecision(4)) : value}`,
  );
  const away = (value: number | null, name: string) =>
    value === null ? '' : `, ${name} ${value.toFixed(1)}`;
  const rows: [string, string][] = [
    ['A picture is', latent.replaceAll('×', ' × ')],
    ['Its price', exhibit.bits ? bitsOf(exhibit) : 'none'],
    ['Learned numbers', `${millions(tokenizer)}${prior > 0 ? `, prior ${millions(prior)}` : ''}`],
    ['Trained', room.runOf ? 'as the room before' : formatDuration(trained)],
    ['Reconstructions', `${decibels(psnr)}${away(rfd_vqgen, 'rfd_vqgen')}`],
    ['Samples', `${drawn.join(', ')}${away(fd_vqgen, 'fd_vqgen')}`],
  ];
  return html`<dl class="facts">${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** `235 of 576 bits`, `≤ 240 of 576 bits` */
export function bitsOf({ bits, raw_bits }: Exhibit): string {
  if (!bits) return '–';
  const of = raw_bits === undefined ? '' : ` of ${Math.round(raw_bits)}`;
  return `${bits.by === 'bound' ? '≤ ' : ''}${Math.round(bits.value)}${of} bits`;
}

/** `0.73 M` */
export const millions = (count: number): string => `${(count / 1e6).toFixed(2)} M`;

/** A room that these pictures leave closed. */
export const closedSection = ({ name, title, year, source }: Room): Html =>
  html`<section class="room" id="${name}"><h2>${title}, ${year}</h2>
<p>This room is closed: it is about classes, and these pictures are in no two or more subfolders that would be such (${source}).</p></section>`;

/** What the page says of all rooms together: at its beginning, and of how they were made at its end. */
import { formatDuration } from '../base/progress.js';
import { version } from '../base/root.js';
import { type Html, html } from '../report/document.js';
import { type Ledger, timeOf } from './ledger.js';
import { extentFor } from './plan.js';
import { bitsOf, columnsOf, millions, type Visit } from './room-section.js';
import { hasOwnTokenizer, type Room, sharesOf, type WorkKind, worksOf } from './rooms.js';

export function opening({ data, budget, pictures }: Ledger, visits: readonly Visit[]): Html {
  const of = data === null ? 'the pictures that come with vqgen' : `the pictures in ${lastOf(data)}`;
  const { train = 0, val = 0, classes = [] } = pictures ?? {};
  const kinds = classes.length > 1 ? ` of ${classes.length} classes` : '';
  return html`<h1>A museum of image tokenizers</h1>
<p class="lead">${visits.length} rooms from the autoencoder to MaskGIT, all trained on ${of} by one command and one clock of
${formatDuration(budget)}: ${train.toLocaleString('en')} pictures${kinds}, ${val.toLocaleString('en')} more that no network has seen.</p>
<p>Every room shows the same unseen pictures and the first samples of the same seed; nothing was chosen. Each of its networks was
to have the same share of the time that was left; the table says what it had. What is told here is what minutes buy, not how far an
idea can go.</p>`;
}

const lastOf = (data: string): string => data.split(/[\\/]/).filter(Boolean).at(-1) ?? data;

export function timeline(visits: readonly Visit[]): Html {
  const byYear = [...visits].sort((a, b) => a.room.year - b.room.year);
  return html`<nav aria-label="Rooms by year"><ol class="timeline">${byYear.map(
    ({ room }) => html`<li><b>${room.year}</b><a href="#${room.name}">${room.short}</a></li>`,
  )}</ol></nav>`;
}

export function comparison(ledger: Ledger, visits: readonly Visit[]): Html {
  const { measured = 0, drawn = 0 } = visits[0]?.exhibit ?? {};
  return html`<h2>All rooms</h2>
<div class="wide"><table>
<thead><tr><th>Room</th><th>A picture is</th><th class="number">Learned</th><th class="number">Trained</th>
<th class="number">PSNR</th><th class="number">rfd_vqgen</th><th class="number">fd_vqgen</th><th class="number">A picture costs</th></tr></thead>
<tbody>${visits.map(
    ({ room, exhibit }) => html`<tr>
<th scope="row"><a href="#${room.name}">${room.short}</a></th><td>${exhibit.latent.replaceAll('×', ' × ')}</td>
<td class="number">${millions(exhibit.parameters.tokenizer + exhibit.parameters.prior)}</td>
<td class="number">${room.runOf ? 'as above' : formatDuration(trainedFor(ledger, room))}</td>
<td class="number">${exhibit.psnr.toFixed(1)} dB</td><td class="number">${shown(exhibit.rfd_vqgen)}</td><td class="number">${shown(exhibit.fd_vqgen)}</td>
<td class="number">${bitsOf(exhibit)}</td></tr>`,
  )}</tbody></table></div>
<p class="faint">PSNR: of reconstructions of ${measured} unseen pictures; higher is closer. <code>rfd_vqgen</code>: how far these
reconstructions, and <code>fd_vqgen</code> how far ${drawn} samples, are as a set from the unseen pictures, in the features of vqgen’s own
network; 0 is equal, and of so few pictures it is too high for all rooms alike. Bits: what a picture costs by the prior, of what its
codes take as they are; of the VAEs what their numbers say of it (KL); of a MaskGIT an upper bound. The numbers of the autoencoders
have no price. All but the VQ-VAEs are also trained on a perceptual distance, which <code>rfd_vqgen</code> rewards and PSNR does not. MaskGIT has the VQGAN’s tokenizer, whose training is not counted again.</p>`;
}

const shown = (value: number | null): string => (value === null ? '–' : value.toFixed(1));

/** Seconds. */
export const trainedFor = ({ works }: Ledger, { name }: Pick<Room, 'name'>): number =>
  ['tokenizer', 'prior'].reduce((sum, kind) => sum + (works[`${name}/${kind}`]?.seconds ?? 0), 0);

/** The same row of pictures in every room. */
export function hall(visits: readonly Visit[], originals: string): Html {
  const rowsOf = (name: string, what: string): Html[] =>
    visits.flatMap(({ room, figures }) => {
      const figure = figures[name];
      if (!figure || (name.startsWith('reconstructions') && !hasOwnTokenizer(room))) return [];
      const alt = `${what} ${room.short}`;
      return [html`<span aria-hidden="true">${room.short}</span>${row(figure, figure.url, alt)}`];
    });
  const given = visits[0]?.figures['reconstructions-row'];
  const classes = visits.find(({ exhibit }) => exhibit.classes.length > 0)?.exhibit.classes ?? [];
  const columns =
    classes.length > 0 ? `Where a room knows classes, each column is one${columnsOf(classes)}.` : '';
  return html`<h2>The same pictures in every room</h2>
<figure><div class="hall">${given ? html`<span class="given">Unseen</span>${row(given, originals, 'Unseen pictures')}` : ''}
${rowsOf('reconstructions-row', 'The same pictures by')}</div>
<figcaption>Unseen pictures, and what each tokenizer makes of them.</figcaption></figure>
<h2>The first samples of every room</h2>
<figure><div class="hall">${rowsOf('samples-row', 'The first samples of')}</div>
<figcaption>Of the same seed, none left out. ${columns}</figcaption></figure>`;
}

const row = ({ width, height }: { width: number; height: number }, url: string, alt: string): Html =>
  html`<img class="pixels" src="${url}" width="${2 * width}" height="${2 * height}" alt="${alt}">`;

export function making(ledger: Ledger, visits: readonly Visit[]): Html {
  const { data, budget, seed, seconds, sittings, machine, works, pictures } = ledger;
  const all = worksOf(visits.map(({ room }) => room));
  const shares = all.reduce((sum, work) => sum + sharesOf(work), 0);
  const done = all.reduce((sum, { name }) => sum + (works[name]?.seconds ?? 0), 0);
  const options = `${data === null ? '' : ` --data ${lastOf(data)}`} --budget ${timeOf(budget)}${seed === 0 ? '' : ` --seed ${seed}`}`;
  const { drawn } = extentFor(budget);
  return html`<h2>How it was made</h2>
<pre>vqgen museum${options}</pre>
<p>vqgen ${version}, seed ${seed}; ${machine}. It took ${formatDuration(seconds)} of ${formatDuration(budget)}${sittings > 1 ? `, in ${sittings} sittings` : ''}:
what is below, and ${formatDuration(Math.max(0, seconds - done))} for ${data === null ? `drawing ${drawn.toLocaleString('en')} pictures` : 'reading the pictures'} and all else.
Of the time that the other works leave, each training has one of ${shares} equal shares, the MaskGIT two, as two rooms show it. Its steps
are planned from a few that are tried, so that on a busy machine it takes less or more: what one leaves over goes to those after it, and one
that takes 1.3 shares ends there.</p>
<p>Configs are those that come with vqgen (<code>--config</code> in each room) but for the number of steps, which the clock decides, the steps of
their warm-up, which are fewer in shares below four minutes, and guidance by class (<code>cfg_scale</code>), which is the same for all priors.</p>
<div class="wide"><table><thead>
<tr><th></th><th colspan="3">Encoder and decoder</th><th colspan="3">Prior</th><th colspan="2">Beside that</th></tr>
<tr><th>Room</th>${[1, 2].map(() => html`<th class="number">share</th><th class="number">took</th><th class="number">steps</th>`)}
<th class="number">codes</th><th class="number">pictures, measures</th></tr></thead>
<tbody>${visits.map(({ room }) => workRow(room, ledger))}</tbody></table></div>
<details><summary>The unseen pictures that are shown</summary><p class="faint">${(pictures?.shown ?? []).join(', ')}</p></details>`;
}

function workRow({ name, short }: Room, { works }: Ledger): Html {
  const cell = (text: string | undefined): Html => html`<td class="number">${text ?? ''}</td>`;
  const seconds = (value: number | undefined) =>
    cell(value === undefined ? undefined : formatDuration(value));
  const training = (kind: WorkKind): Html => {
    const { share, seconds: took, steps } = works[`${name}/${kind}`] ?? {};
    return html`${seconds(share)}${seconds(took)}${cell(steps?.toLocaleString('en'))}`;
  };
  const took = (kind: WorkKind): Html => seconds(works[`${name}/${kind}`]?.seconds);
  return html`<tr><th scope="row">${short}</th>${training('tokenizer')}${training('prior')}${took('tokens')}${took('exhibit')}</tr>`;
}

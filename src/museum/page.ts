/** The page: all rooms side by side, then each room, then how it was made. */
import fs from 'node:fs/promises';
import path from 'node:path';
import { pageScript } from '../report/assets.js';
import { documentOf, html, pngUrl } from '../report/document.js';
import type { Ledger } from './ledger.js';
import { comparison, hall, making, opening, timeline, trainedFor } from './overview.js';
import { museumStyle } from './page-style.js';
import { figuresOf } from './places.js';
import { closedSection, roomSection, type Visit } from './room-section.js';
import { roomsFor } from './rooms.js';

/** The whole file, of a finished museum. @throws Error where a picture is missing */
export async function museumPage(out: string, ledger: Ledger): Promise<string> {
  const { rooms, closed } = roomsFor(ledger.pictures?.classes.length ?? 0);
  const pictureAt = async (...place: string[]): Promise<string> =>
    pngUrl(await fs.readFile(`${path.join(...place)}.png`));
  const visits: Visit[] = [];
  for (const room of rooms) {
    const exhibit = ledger.exhibits[room.name];
    if (!exhibit) continue;
    const figures: Record<string, Visit['figures'][string]> = {};
    for (const [name, size] of Object.entries(exhibit.figures)) {
      figures[name] = { ...size, url: await pictureAt(figuresOf(out, room), name) };
    }
    visits.push({ room, exhibit, figures });
  }
  const originals = await pictureAt(out, 'rooms', 'originals');
  const row = await pictureAt(out, 'rooms', 'originals-row');
  return documentOf({
    title: 'A museum of image tokenizers',
    styles: [museumStyle],
    scripts: [pageScript('compare')],
    body: html`<main>
${opening(ledger, visits)}
${timeline(visits)}
${comparison(ledger, visits)}
${hall(visits, row)}
${visits.map((visit, i) => {
  const trained = trainedFor(ledger, visit.room);
  return roomSection(visit, { originals, before: visits[i - 1], trained });
})}
${closed.map(closedSection)}
${making(ledger, visits)}
</main>`,
  });
}

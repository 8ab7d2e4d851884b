/** Where what a museum consists of lies, and how its figures are laid out. */
import path from 'node:path';
import type { Room } from './rooms.js';

export const runOf = (out: string, room: Pick<Room, 'name' | 'runOf'>): string =>
  path.join(out, 'runs', room.runOf ?? room.name);

/** Of a room's figures; of the pictures that all show, `originals.png` above them. */
export const figuresOf = (out: string, room: Pick<Room, 'name'>): string =>
  path.join(out, 'rooms', room.name);

/** Pictures in a row of every figure. */
export const figureColumns = 10;

/**
 * Errors of the system, which may pass (a share that is gone for a moment, too many open files), apart from what is
 * wrong with a file's bytes, which stays.
 */
import { setTimeout as pause } from 'node:timers/promises';

/** Whether the system, not a file's bytes, is why something could not be read. */
export function mayPass(error: unknown): boolean {
  const { code, errno, message } = (error ?? {}) as NodeJS.ErrnoException;
  if (typeof code === 'string' && typeof errno === 'number') return true;
  return /out of memory|cannot allocate|failed to allocate/i.test(message ?? '');
}

/** Milliseconds between the tries. */
const pauses = [50, 250, 1000];

/** Those that tell of a moment, where a second look is worth a pause. */
const brief = new Set(
  'EIO EMFILE ENFILE EAGAIN EBUSY EINTR ESTALE ETIMEDOUT ENOENT ENOTDIR ENODEV ENXIO EHOSTDOWN ENOMEM'.split(
    ' ',
  ),
);

/** Of all pauses together, in milliseconds: of a folder of dead links not each one is waited for. */
const patience = 6000;

export interface Patience {
  left: number;
}

export const newPatience = (): Patience => ({ left: patience });

/**
 * What `read` gives, with three more tries after pauses where an error may pass.
 *
 * @param o.patience shared by many reads, which wait no longer together. @param o.isLost where no error will pass
 * @param o.pauses between the tries, milliseconds
 * @throws what the last try throws
 */
export async function steadily<T>(
  read: () => Promise<T>,
  o: { patience?: Patience; isLost?: boolean; pauses?: readonly number[] } = {},
): Promise<T> {
  const { patience = newPatience(), isLost = false } = o;
  for (const wait of o.pauses ?? pauses) {
    try {
      return await read();
    } catch (error) {
      if (isLost || patience.left < wait || !brief.has(`${(error as NodeJS.ErrnoException).code}`))
        throw error;
      patience.left -= wait;
      await pause(wait);
    }
  }
  return read();
}

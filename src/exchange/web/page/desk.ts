/** One job at a time: its progress on the page, its end, and what the page cannot do meanwhile. */
import type { Description } from '../description.js';
import { Cancelled, type Client, startClient } from './client.js';
import { byId } from './dom.js';
import type { Compute, Jobs, Kind } from './messages.js';

export interface Desk {
  readonly of: Description;
  /** Undefined where it was cancelled or failed, which the page then says, or where another job runs. */
  run<K extends Kind>(kind: K, ask: Jobs[K]['ask'], said?: string): Promise<Jobs[K]['answer'] | undefined>;
  /** For people, beside the progress. */
  say(text: string): void;
  useCompute(compute: Compute): void;
}

/** @param compute how to begin */
export function openDesk(of: Description, compute: Compute): Desk {
  const [status, bar] = [byId('status', HTMLElement), byId('progress', HTMLProgressElement)];
  const cancel = byId('cancel', HTMLButtonElement);
  const say = (text: string): void => {
    if (status.textContent !== text) status.textContent = text;
  };
  const start = (compute: Compute): Client =>
    startClient(of, compute, (said, done, total) => {
      say(`${said} …`);
      if (total === 0) bar.removeAttribute('value');
      else Object.assign(bar, { max: total, value: done });
    });
  let using = compute;
  let client = start(compute);
  let busy = false;
  const setBusy = (is: boolean): void => {
    busy = is;
    document.body.classList.toggle('busy', is);
    bar.hidden = cancel.hidden = !is;
    bar.value = 0;
    for (const acting of document.querySelectorAll<HTMLButtonElement>('button[data-acts]'))
      acting.disabled = is;
  };
  cancel.addEventListener('click', () => client.cancel());
  setBusy(false);
  return {
    of,
    say,
    async run(kind, ask, said) {
      if (busy) return undefined;
      setBusy(true);
      const before = performance.now();
      try {
        const answer = await client.run(kind, ask);
        say(said ? `${said} (${((performance.now() - before) / 1000).toFixed(1)} s)` : '');
        return answer;
      } catch (error) {
        const next = using === 'webgpu' ? ' It may run on the CPU: choose that above.' : '';
        say(error instanceof Cancelled ? 'Cancelled.' : `It failed: ${(error as Error).message}${next}`);
        return undefined;
      } finally {
        setBusy(false);
      }
    },
    useCompute(compute) {
      client.close();
      using = compute;
      client = start(compute);
      say('');
    },
  };
}

/** The page of `vqgen export --to web`: its inputs, and the worker that computes. */
import type { Description } from '../description.js';
import { setUpChanging } from './changing.js';
import { openDesk } from './desk.js';
import { byId } from './dom.js';
import { setUpDrawing } from './drawing.js';
import type { Compute } from './messages.js';
import { setUpReconstructing } from './reconstructing.js';
import { setUpWalking } from './walking.js';

const described: Description = await (await fetch('page.json')).json();
const select = byId('compute', HTMLSelectElement);
const gpu = await adapter();
for (const option of select.options) option.hidden = option.disabled = option.value === 'webgpu' && !gpu;
// A GPU that is only imitated is slower than the CPU without.
select.value = gpu && !gpu.info?.isFallbackAdapter ? 'webgpu' : 'wasm';

const desk = openDesk(described, select.value as Compute);
select.addEventListener('change', () => desk.useCompute(select.value as Compute));
const { prior, latent } = described;
const change = prior && setUpChanging(desk, prior);
setUpDrawing(desk, prior?.classes ?? (latent.kind === 'gaussian' ? latent.classes : []), change);
if (latent.kind !== 'codes') setUpWalking(desk);
setUpReconstructing(desk);
byId('served', HTMLElement).hidden = true;
byId('run', HTMLElement).hidden = false;

interface Adapter {
  readonly info?: { readonly isFallbackAdapter?: boolean };
}

async function adapter(): Promise<Adapter | undefined> {
  const { gpu } = navigator as { gpu?: { requestAdapter(): Promise<Adapter | null> } };
  try {
    return (await gpu?.requestAdapter()) ?? undefined;
  } catch {
    return undefined;
  }
}

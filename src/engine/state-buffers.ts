/** The state of a step between host and session: tensors with names, some of them end to end in one buffer. */
import { must, pairs } from '../base/lookup.js';
import { float32, type HostTensors, sizeOf } from '../base/tensor.js';
import type { StateBuffer } from './pack.js';
import { isIdentity } from './permute.js';
import type { ort } from './runtime.js';
import { fromOrt, toOrt } from './sessions.js';
import type { Slot } from './trace.js';

/** A buffer as it begins; tensors in their own order of axes. */
export function filled({ shape, members }: StateBuffer, state: HostTensors): ort.Tensor {
  const ordered = members.map(({ slot }) =>
    toOrt(must(state[slot.name], slot.name), isIdentity(slot.perm) ? undefined : slot),
  );
  const [only, another] = ordered;
  if (only && !another) return only;
  const data = new Float32Array(sizeOf(shape));
  for (const [{ offset }, tensor] of pairs(members, ordered)) data.set(tensor.data as Float32Array, offset);
  return toOrt(float32(shape, data));
}

/** What lies in a buffer, by name; copies in the program's order of axes. */
export function membersOf(whole: ort.Tensor, members: StateBuffer['members']): HostTensors {
  return Object.fromEntries(
    members.map(({ slot, offset }) => [slot.name, fromOrt(piece(whole, slot, offset), slot)]),
  );
}

function piece(whole: ort.Tensor, { value }: Slot, offset: number): ort.Tensor {
  if (whole.dims.join() === value.shape.join()) return whole;
  const data = (whole.data as Float32Array).subarray(offset, offset + sizeOf(value.shape));
  return toOrt(float32(value.shape, data));
}

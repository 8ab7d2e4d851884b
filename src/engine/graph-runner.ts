/** A program without state in a session, whatever the session computes on. */
import { must } from '../base/lookup.js';
import type { HostTensor, HostTensors } from '../base/tensor.js';
import { checkTensors, type Graph, type GraphProgram, type Named } from './device.js';
import type { ort } from './runtime.js';
import {
  collectGarbage,
  hostTensor,
  type Numbers,
  release,
  runSession,
  toOrt,
  whenFull,
} from './sessions.js';
import type { Slot } from './trace.js';

/**
 * From this size (bytes) of a program's constants on, their copies are not left to the garbage collector's own pace.
 */
const LARGE = 16 * 2 ** 20;

export class GraphRunner<In extends string, Out extends string> implements Graph<In, Out> {
  private released: Promise<void> | undefined;
  private leavesGarbage: boolean;

  private readonly name: string;
  private readonly specs: GraphProgram['inputs'];

  /** Of the program only the name and the inputs are kept: its constants are in the session. */
  constructor(
    { name, inputs, constants }: GraphProgram<In, Out>,
    private readonly session: ort.InferenceSession,
    private readonly slots: { readonly inputs: readonly Slot[]; readonly outputs: readonly Slot[] },
  ) {
    this.name = name;
    this.specs = inputs;
    this.leavesGarbage =
      Object.values(constants).reduce((sum, { data }) => sum + data.byteLength, 0) >= LARGE;
  }

  async run(inputs: HostTensors): Promise<Named<Out, HostTensor>> {
    checkTensors(`inputs of ${this.name}`, this.specs, inputs);
    if (this.leavesGarbage) collectGarbage(); // what the session was made from
    this.leavesGarbage = false;
    const wanted = new Set(this.session.inputNames);
    const feeds: Record<string, ort.Tensor> = {};
    for (const { name, value } of this.slots.inputs)
      if (wanted.has(value.name)) feeds[value.name] = toOrt(must(inputs[name], name));
    const results = await runSession(this.session, feeds, { advice: whenFull.graph });
    const outputs = this.slots.outputs.map((slot) => {
      const { data } = must(results[`outputs/${slot.name}`], slot.name); // the binding's own copy, in the program's order
      return [slot.name, hostTensor(data as Numbers, slot.shape)];
    });
    return Object.fromEntries(outputs);
  }

  dispose(): Promise<void> {
    this.released ??= release(this.session);
    return this.released;
  }
}

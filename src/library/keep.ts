/** What an open run keeps from call to call: its weights, and its networks as they were prepared. */
import { createHash } from 'node:crypto';
import { expected } from '../base/errors.js';
import type { Disposable } from '../base/opened.js';
import type { HostTensor } from '../base/tensor.js';
import type { TrainedModel } from '../checkpoint/store.js';
import type { Device, Graph, GraphProgram } from '../engine/device.js';
import type { Loaded, TrainedRun } from '../sample/loaded.js';

/** The same, read at the first call alone. */
export function loadedOnce(loaded: Loaded): Loaded {
  let models: Promise<TrainedRun> | undefined;
  let tokenizer: Promise<TrainedModel> | undefined;
  const whole = () => {
    models ??= loaded.models();
    return models;
  };
  return {
    config: loaded.config,
    models: whole,
    tokenizer: () => {
      tokenizer ??= models ? models.then((read) => read.tokenizer) : loaded.tokenizer();
      return tokenizer;
    },
  };
}

type AnyGraph = Graph<string, string>;

/**
 * The same device, on which a program that was prepared stays so: others dispose of their graphs in vain. Programs are
 * one where their names, inputs and constants are, as within a run they are.
 *
 * @returns also what waits for all that runs and then disposes of it; after that nothing runs
 */
export function keeping(device: Device): Device & Disposable {
  const kept = new Map<string, Promise<AnyGraph>>();
  const running = new Set<Promise<unknown>>();
  const sums = new WeakMap<HostTensor['data'], string>();
  let closed = false;

  const checkOpen = (): void => {
    if (closed)
      throw expected('an open run', 'a call', 'one that was disposed of', 'Load it again: loadRun.');
  };
  const sumOf = (data: HostTensor['data']): string => {
    const known = sums.get(data) ?? createHash('sha256').update(data).digest('base64');
    sums.set(data, known);
    return known;
  };
  const keyOf = ({ name, inputs, constants, precision }: GraphProgram): string =>
    JSON.stringify([
      ...[name, precision, inputs],
      ...Object.entries(constants).map(([name, { shape, data }]) => [name, shape, sumOf(data)]),
    ]);
  const during = <T>(work: Promise<T>): Promise<T> => {
    const tracked = work.finally(() => running.delete(tracked));
    running.add(tracked);
    return tracked;
  };

  return {
    ...device,
    async prepare<In extends string, Out extends string>(program: GraphProgram<In, Out>) {
      checkOpen();
      const key = keyOf(program as GraphProgram);
      const graph = kept.get(key) ?? during(device.prepare(program) as Promise<AnyGraph>);
      kept.set(key, graph);
      graph.catch(() => kept.delete(key));
      const { run } = boundOf((await graph) as Graph<In, Out>);
      return {
        run: async (inputs: Parameters<typeof run>[0]) => {
          checkOpen();
          return during(run(inputs));
        },
        async dispose() {},
      };
    },
    async dispose() {
      closed = true;
      await Promise.allSettled(running);
      const graphs = await Promise.allSettled(kept.values());
      kept.clear();
      for (const graph of graphs) if (graph.status === 'fulfilled') await graph.value.dispose();
    },
  };
}

const boundOf = <In extends string, Out extends string>(graph: Graph<In, Out>) => ({
  run: (inputs: Parameters<typeof graph.run>[0]) => graph.run(inputs),
});

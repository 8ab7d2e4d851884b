/**
 * Drawing with a prior's exported file, whatever runs it: here ONNX Runtime, in a page a browser. Imports nothing that
 * a browser does not have.
 */
import { picked } from '../base/lookup.js';
import { float32, type HostTensor, int32, lastAxis } from '../base/tensor.js';
import type { Graph } from '../engine/device.js';
import { cellsIn } from '../stage1-vqgan/grids.js';
import type { Grid } from '../stage1-vqgan/latent.js';
import type { Canvas } from './canvas.js';
import { type CachedModel, drawerOf, sequencesFor } from './drawer.js';
import { between } from './guidance.js';
import type { Ask } from './maskgit/filling.js';
import { passesDrawer, withAndWithout } from './maskgit/passes-drawer.js';
import type { Drawer, Opening, Portable, Stepwise } from './prior.js';

/**
 * @param o.grids all of a canvas. @param o.classes how many the prior knows
 * @returns it releases the file
 */
export function fileDrawer(
  graph: Graph,
  asked: Portable['asked'],
  o: Opening & { readonly grids: readonly Grid[]; readonly classes: number },
): Drawer {
  const { grids, cfgScale } = o;
  const labelled = o.classes > 0;
  switch (asked.by) {
    case 'steps': {
      const { without, ofFirstClass } = asked.begins;
      const starts = (labels: Int32Array) =>
        labels.map((label) => (label < 0 ? without : ofFirstClass + label));
      return drawerOf(cachedFile(graph, asked.cache, sequencesFor(o)), { grids, cfgScale, starts });
    }
    case 'canvas': {
      const starts = (labels: Int32Array) => labels;
      return drawerOf(wholeFile(graph, cellsIn(grids), labelled), { grids, cfgScale, starts });
    }
    case 'passes': {
      const ask: Ask = async (canvas, { temperature, scale }) => {
        const all = cfgScale === 1 ? canvas : withAndWithout(canvas);
        const logits = await logitsOf(graph, all, labelled);
        const data = logits.data as Float32Array;
        return softmax(cfgScale === 1 ? data : between(data, scale), lastAxis(logits), temperature);
      };
      return passesDrawer(ask, {
        ...{ grids, cfgScale, schedule: asked.schedule },
        dispose: () => graph.dispose(),
      });
    }
  }
}

/** Lengths of a cache's axes, for people and scripts: `8, n, 4, 0, 16`. */
export const cacheAxes = (
  { layers, heads, width }: Stepwise['cache'],
  batch: string,
  length: string | number,
): string => `${2 * layers}, ${batch}, ${heads}, ${length}, ${width / heads}`;

/** @param batch sequences in every run */
export function cachedFile(
  graph: Graph,
  { layers, heads, width }: Stepwise['cache'],
  batch: number,
): CachedModel {
  const empty = float32([2 * layers, batch, heads, 0, width / heads]);
  let past = empty;
  return {
    async nextLogits(ids, position) {
      if (position === 0) past = empty;
      const outputs = await graph.run({ ids: int32([batch], ids), past });
      const { logits, present } = picked(outputs, ['logits', 'present']);
      past = present;
      return logits.data as Float32Array;
    },
    dispose: () => graph.dispose(),
  };
}

/** What begins a canvas is its label. */
function wholeFile(graph: Graph, cells: number, labelled: boolean): CachedModel {
  let codes = new Int32Array();
  let labels = new Int32Array();
  return {
    async nextLogits(ids, position) {
      const batch = ids.length;
      if (position === 0) {
        codes = new Int32Array(batch * cells);
        labels = Int32Array.from(ids);
      } else for (const [row, id] of ids.entries()) codes[row * cells + position - 1] = id;
      const logits = await logitsOf(graph, { codes, labels }, labelled);
      const width = lastAxis(logits);
      const here = new Float32Array(batch * width);
      for (let row = 0; row < batch; row++) {
        const at = (row * cells + position) * width;
        here.set((logits.data as Float32Array).subarray(at, at + width), row * width);
      }
      return here;
    },
    dispose: () => graph.dispose(),
  };
}

/** float32 [B, T, K]. @param labelled whether the file takes labels */
async function logitsOf(graph: Graph, { codes, labels }: Canvas, labelled: boolean): Promise<HostTensor> {
  const batch = labels.length;
  const outputs = await graph.run({
    codes: int32([batch, codes.length / batch], codes),
    ...(labelled && { labels: int32([batch], labels) }),
  });
  return picked(outputs, ['logits']).logits;
}

/** Of rows of so many logits. @returns another array */
function softmax(logits: Float32Array, width: number, temperature: number): Float32Array {
  const shares = new Float32Array(logits.length);
  for (let start = 0; start < logits.length; start += width) {
    const row = logits.subarray(start, start + width);
    const highest = row.reduce((a, b) => Math.max(a, b));
    let total = 0;
    for (const logit of row) total += Math.exp((logit - highest) / temperature);
    for (const [i, logit] of row.entries())
      shares[start + i] = Math.exp((logit - highest) / temperature) / total;
  }
  return shares;
}

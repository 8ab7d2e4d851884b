/**
 * The networks of all grids as one model that is asked for one place after another. What a network kept of the last
 * row and cell lies here between the calls.
 *
 * Shapes: B images, h×w cells of a grid, K codes, D width, L layers, p rows or columns that the first layer looks
 * back.
 */
import { must } from '../../base/lookup.js';
import { float32, type HostTensor, type HostTensors, int32 } from '../../base/tensor.js';
import type { Device } from '../../engine/device.js';
import { under } from '../../nn/params.js';
import { byGrid, cellsIn } from '../../stage1-vqgan/grids.js';
import type { Grid } from '../../stage1-vqgan/latent.js';
import type { CachedModel } from '../drawer.js';
import { keyValueCache } from '../key-value-cache.js';
import { coordinates } from './attention.js';
import { back, cacheOf, cellProgram, featuresProgram, rowProgram } from './drawing.js';
import { attentions, type NetworkSizes } from './network.js';

/** One grid's. */
interface GridModel {
  /** Begins anew. @param earlier codes [B, h', w'] of the grids before, by their names */
  begin(labels: Int32Array, earlier: HostTensors): Promise<void>;
  /**
   * Logits [B, K] of a cell; of all, one after another.
   *
   * @param codes [B, h·w] of the grid, those before the cell known
   */
  next(codes: Int32Array, cell: number): Promise<Float32Array>;
  dispose(): Promise<void>;
}

/**
 * What a place takes: at place 0 labels [B], −1 without a class, in place of codes.
 *
 * @param grids all, the given ones first; those have no network and no logits
 * @param weights each network's under the name of its grid
 */
export async function openCachedNetworks(o: {
  device: Device;
  weights: HostTensors;
  batch: number;
  grids: readonly Grid[];
  networks: readonly NetworkSizes[];
}): Promise<CachedModel> {
  const { device, weights, batch, grids, networks } = o;
  const models: { name: string; first: number; model: GridModel }[] = [];
  for (const sizes of networks) {
    const { name } = sizes.grid;
    const model = await openGrid(device, sizes, under(name, weights), batch);
    models.push({ name, first: cellsIn(sizes.earlier), model });
  }
  const all = cellsIn(grids);
  const codes = new Int32Array(batch * all);
  let labels = new Int32Array(batch);

  return {
    async nextLogits(ids, place) {
      if (place === 0) labels = Int32Array.from(ids);
      else for (const [row, id] of ids.entries()) codes[row * all + place - 1] = id;
      const current = models.findLast(({ first }) => first <= place);
      if (!current) return new Float32Array();
      const { name, first, model } = current;
      const parts = byGrid(grids, codes);
      const cell = place - first;
      if (cell === 0) await model.begin(labels, parts);
      return model.next(must(parts[name], name).data as Int32Array, cell);
    },
    async dispose() {
      for (const { model } of models) await model.dispose();
    },
  };
}

async function openGrid(
  device: Device,
  sizes: NetworkSizes,
  weights: HostTensors,
  batch: number,
): Promise<GridModel> {
  const { layers, width, classes, grid, earlier } = sizes;
  const { width: columns, vocab } = grid;
  const [wide, added, count] = [layers * width, layers * 2 * width, attentions(sizes)];
  const rows = await device.prepare(rowProgram(sizes, weights, batch));
  const cells = await device.prepare(cellProgram(sizes, weights, batch));
  const told = earlier.length > 0 ? await device.prepare(featuresProgram(sizes, weights, batch)) : undefined;
  const cache = keyValueCache(cacheOf(sizes), batch);
  const places = coordinates(grid);

  let labels = int32([batch]);
  let features: HostTensor | undefined;
  let before = float32([batch, 1, columns, wide]);
  let additions: Float32Array = new Float32Array();
  let left = float32([batch, wide]);
  let behind = float32([batch, count * width]);

  const startRow = async (codes: Int32Array, row: number): Promise<void> => {
    if (row === 0) before = float32([batch, 1, columns, wide]);
    left = float32([batch, wide]);
    const outputs = await rows.run({
      above: window(codes, (row - back) * columns, back * columns, [batch, back, columns]),
      before,
      ...(classes > 0 && { labels }),
      ...(features && { features: rowOf(features, row) }),
    });
    before = outputs.before;
    additions = outputs.additions.data as Float32Array;
  };

  /** So many codes of each image from a cell on; K before the first. */
  const window = (
    codes: Int32Array,
    from: number,
    many: number,
    shape: number[],
    outside = 0,
  ): HostTensor => {
    const seen = int32(shape);
    const inImage = codes.length / batch;
    for (let image = 0, to = 0; image < batch; image++)
      for (let i = from; i < from + many; i++, to++)
        seen.data[to] = i < outside ? vocab : codes[image * inImage + i]!;
    return seen;
  };

  const attentionInputs = (codes: Int32Array, cell: number): HostTensors => ({
    last: window(codes, cell - 1, 1, [batch]),
    behind,
    places: float32(
      [2, 2],
      [
        ...places.subarray(2 * cell, 2 * cell + 2),
        ...places.subarray(2 * Math.max(0, cell - 1), 2 * Math.max(0, cell - 1) + 2),
      ],
    ),
    first: float32([1, 1], [cell === 0 ? 1 : 0]),
    ...cache.inputs(cell),
  });

  return {
    async begin(of, codes) {
      labels = int32([batch], of);
      const known = earlier.map(({ name }, i) => [`earlier.${i}`, must(codes[name], name)]);
      features = (await told?.run(Object.fromEntries(known)))?.features;
    },
    async next(codes, cell) {
      const [row, column] = [Math.floor(cell / columns), cell % columns];
      if (column === 0) await startRow(codes, row);
      const inColumn = float32([batch, added]);
      for (let image = 0; image < batch; image++) {
        const from = (image * columns + column) * added;
        inColumn.data.set(additions.subarray(from, from + added), image * added);
      }
      const outputs = await cells.run({
        ids: window(codes, cell - back, back, [batch, back], row * columns),
        left,
        additions: inColumn,
        ...(count > 0 && attentionInputs(codes, cell)),
      });
      left = outputs.left;
      if (count > 0) {
        behind = must(outputs.behind, 'behind');
        cache.write(cell, outputs);
      }
      return outputs.logits.data as Float32Array;
    },
    async dispose() {
      await rows.dispose();
      await cells.dispose();
      await told?.dispose();
    },
  };
}

/** Row `row` of each image: [B, h, w, C] → [B, 1, w, C]. */
function rowOf({ shape, data }: HostTensor, row: number): HostTensor {
  const [batch, height, columns, channels] = shape as [number, number, number, number];
  const own = float32([batch, 1, columns, channels]);
  const length = columns * channels;
  for (let image = 0; image < batch; image++) {
    const from = (image * height + row) * length;
    own.data.set(data.subarray(from, from + length) as Float32Array, image * length);
  }
  return own;
}

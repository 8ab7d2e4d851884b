/**
 * The official weights of LPIPS over VGG16: torchvision's `vgg16` and the five linear heads of LPIPS
 * (github.com/richzhang/PerceptualSimilarity), in files of their own or inside a checkpoint of taming-transformers;
 * and what the config's `perceptual.kind: lpips-vgg16` wants.
 */
import { expected } from '../base/errors.js';
import { must } from '../base/lookup.js';
import { float32, type HostTensors, sizeOf } from '../base/tensor.js';
import { vgg16Shapes } from '../perceptual/distances.js';
import { checkPlaces, type Named } from './places.js';
import type { TensorFile } from './torch-file.js';

const shapes = Object.entries(vgg16Shapes());

/** Where each of the five parts of LPIPS' network begins, by torchvision's index. */
const slices = [0, 4, 9, 16, 23];

/** `features.5.weight` → `net.slice2.5.weight`, `lin0.weight` → `lin0.model.1.weight`. */
function officialName(name: string): string {
  const [, index, rest] = /^features\.(\d+)\.(.*)/.exec(name) ?? [];
  if (index === undefined) return name.replace('.weight', '.model.1.weight');
  return `net.slice${slices.filter((from) => from <= Number(index)).length}.${index}.${rest}`;
}

/** Names and shapes under which a checkpoint holds them; the last two are the constants of the scaling layer. */
export function lpipsNames(prefix: string): Named[] {
  return [
    ...shapes.map(([name, shape]) => ({ name: prefix + officialName(name), shape })),
    { name: `${prefix}scaling_layer.shift`, shape: [1, 3, 1, 1] },
    { name: `${prefix}scaling_layer.scale`, shape: [1, 3, 1, 1] },
  ];
}

/** Those of a checkpoint, by vqgen's names. */
export async function readLpips(file: TensorFile, prefix: string): Promise<HostTensors> {
  const found: HostTensors = {};
  for (const [name, shape] of shapes) {
    const { data } = await file.read(prefix + officialName(name));
    found[name] = float32(shape, data as Float32Array);
  }
  return found;
}

/** The reverse, with the constants. */
export function writtenLpips(weights: HostTensors, prefix: string): HostTensors {
  const named = shapes.map(([name]) => [prefix + officialName(name), must(weights[name], name)] as const);
  return {
    ...Object.fromEntries(named),
    [`${prefix}scaling_layer.shift`]: float32([1, 3, 1, 1], [-0.03, -0.088, -0.188]),
    [`${prefix}scaling_layer.scale`]: float32([1, 3, 1, 1], [0.458, 0.448, 0.45]),
  };
}

/** Whether a file holds a part of LPIPS by itself. */
export function holdsLpips({ entries }: TensorFile): boolean {
  const names = Object.keys(entries);
  return names.some((name) =>
    /^(features\.0|net\.slice1\.0)\.weight$|^lin0\.(model\.1\.)?weight$/.test(name),
  );
}

/**
 * The weights out of one file or two. VGG16's classifier is left aside.
 *
 * @throws UserError for what is missing, left over or of another shape
 */
export async function gatherLpips(
  files: readonly { file: string; tensors: TensorFile }[],
): Promise<HostTensors> {
  const found = new Map<
    string,
    { tensors: TensorFile; name: string; entry: TensorFile['entries'][string] }
  >();
  const unknown: string[] = [];
  for (const { tensors } of files) {
    for (const [name, entry] of Object.entries(tensors.entries)) {
      const ours = shapes.find(([ours]) => name === ours || name === officialName(ours))?.[0];
      if (ours !== undefined) found.set(ours, { tensors, name, entry });
      else if (!/^(classifier|scaling_layer)\./.test(name)) unknown.push(name);
    }
  }
  const entries = Object.fromEntries([
    ...Array.from(found, ([ours, { entry }]) => [ours, entry] as const),
    ...unknown.map((name) => [name, { dtype: 'F32', shape: [] }] as const),
  ]);
  const wanted = shapes.map(([name, shape]) => ({ name, shape }));
  const what = "torchvision's vgg16 and LPIPS' five linear heads";
  const next = 'Both files are needed: vgg16-….pth of torchvision, and vgg.pth of LPIPS 0.1.';
  checkPlaces(wanted, { entries }, { file: files.map(({ file }) => file).join(' and '), what, next });
  const weights: HostTensors = {};
  for (const [name, shape] of shapes) {
    const { tensors, name: theirs } = must(found.get(name), name);
    const { data } = await tensors.read(theirs);
    if (!(data instanceof Float32Array) || data.length !== sizeOf(shape)) {
      throw expected('floats', name, 'whole numbers');
    }
    weights[name] = float32(shape, data);
  }
  return weights;
}

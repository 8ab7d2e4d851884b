/**
 * The tracing backend: a TF.js backend whose kernels do not compute but append nodes to a graph.
 *
 * Running a program under it, gradients included, writes down the program once. Every symbolic tensor carries the
 * order in which its axes lie in memory (`perm`), so that NHWC programs run in ONNX Runtime's NCHW without the program
 * knowing: elementwise kernels keep the order of their operands, reductions remap axes, transposition only renames
 * axes, and a kernel that needs the plain order asks for it (`plain`).
 */
import * as tf from '@tensorflow/tfjs-core';
import { sizeOf } from '../base/tensor.js';
import type { ProgramPrecision } from './device.js';
import { GraphBuilder, type OnnxData, type OnnxType, type Value } from './graph.js';
import { identity, isIdentity, permuteData, permuteShape, relativePerm } from './permute.js';
import { cpuTarget, type Target } from './target.js';

export const TRACER = 'vqgen-tracer';

/**
 * A tensor of the traced program. Axis `i` of the value is axis `perm[i]` of the program's tensor and has its length,
 * or length 1 where the numbers repeat along it: broadcasting is put off until a kernel needs every number.
 */
export interface Sym {
  readonly value: Value;
  /** The program's shape. */
  readonly shape: readonly number[];
  readonly dtype: tf.DataType;
  readonly perm: readonly number[];
  /** The number that fills the tensor, when it is a constant filled with one number. */
  readonly splat?: number;
  /** What it was joined from along an axis: splitting it there again takes no copy. */
  readonly joined?: { readonly axis: number; readonly parts: readonly Sym[] };
  /** Writes nodes that compute the value once more from what is kept anyway; see `later`. */
  readonly again?: () => Value;
}

/** Physical orders that ONNX Runtime's CPU kernels want: images [B, C, H, W], filters [out, in, kh, kw]. */
export const NCHW = [0, 3, 1, 2] as const;
export const OIHW = [3, 2, 0, 1] as const;

/**
 * The order in which a filter `[kh, kw, in, out]` is kept: OIHW, but `[1, 1, out, in]` where it is 1×1, since ONNX
 * Runtime takes 0.44 ms to scale `[256, 256, 1, 1]` by a number where `[256, 256]` takes 0.01; and as it is where it
 * is not square, as for products of matrices.
 */
export function filterOrder(shape: readonly number[]): readonly number[] {
  if (shape[0] !== shape[1]) return identity(4);
  return shape[1] === 1 ? [0, 1, 3, 2] : OIHW;
}

export function onnxType(dtype: tf.DataType): OnnxType {
  if (dtype === 'float32' || dtype === 'int32' || dtype === 'bool') return dtype;
  throw new Error(`internal: ${dtype} tensors cannot be traced`);
}

/** How a program's operators are written: the CPU's way and in float32 by default. */
export interface Lowering {
  readonly target?: Target;
  readonly precision?: ProgramPrecision;
}

export class Tracer extends tf.KernelBackend {
  graph = new GraphBuilder();
  target: Target = cpuTarget;
  /** Of products with constants. */
  precision: ProgramPrecision = 'f32';
  private syms = new WeakMap<object, Sym>();
  /** What each reshaped value was before: of several reshapes in a row one is enough. */
  private reshaped = new Map<string, Value>();
  /** Numbers that the program has been seen to write: a draw does not come out twice. */
  private written = new Set<number>();

  reset({ target = cpuTarget, precision = 'f32' }: Lowering = {}): void {
    this.precision = precision;
    this.graph = new GraphBuilder();
    this.target = target;
    this.syms = new WeakMap();
    this.reshaped = new Map();
    this.written = new Set();
  }

  // What kernels use -------------------------------------------------------------------------------------------------

  sym(info: tf.TensorInfo): Sym {
    const sym = this.syms.get(info.dataId);
    if (!sym)
      throw new Error('internal: a tensor of another backend or of an earlier trace reached the tracer');
    return { ...sym, shape: info.shape };
  }

  /** Hands a value to the program; `perm` says how it lies in memory. */
  out(
    value: Value,
    shape: readonly number[],
    dtype: tf.DataType,
    perm: readonly number[] = identity(shape.length),
    again?: () => Value,
  ): tf.TensorInfo {
    return this.keep({ value, shape: [...shape], dtype, perm, again });
  }

  /**
   * The tensor for a use far behind its first one, as in the backward pass: what is quickly computed again is, so that
   * it neither fills memory meanwhile nor has to come back from there.
   */
  later(sym: Sym): Sym {
    return sym.again ? { ...sym, value: sym.again() } : sym;
  }

  keep(sym: Sym): tf.TensorInfo {
    const full = permuteShape(sym.shape, sym.perm);
    if (
      full.length !== sym.value.shape.length ||
      full.some((n, i) => n !== sym.value.shape[i] && sym.value.shape[i] !== 1)
    ) {
      throw new Error(
        `internal: a value [${sym.value.shape}] was traced as [${sym.shape}] in the order [${sym.perm}]`,
      );
    }
    const dataId = {};
    this.syms.set(dataId, sym);
    return { dataId, shape: [...sym.shape], dtype: sym.dtype };
  }

  /** A constant filled with one number. */
  filled(shape: readonly number[], number: number, dtype: tf.DataType): tf.TensorInfo {
    const ones = shape.map(() => 1);
    const value = this.graph.constant(onnxType(dtype), ones, typed(dtype, 1).fill(number as never));
    return this.keep({ value, shape, dtype, perm: identity(shape.length), splat: number });
  }

  /** The value with its axes in the order `perm` and every number in its place. */
  as(sym: Sym, perm: readonly number[]): Value {
    return this.expand(this.aligned(sym, perm), permuteShape(sym.shape, perm));
  }

  /** As `as`, but repeated numbers stay unrepeated. Constants are rearranged here, others by a Transpose. */
  aligned(sym: Sym, perm: readonly number[]): Value {
    const change = relativePerm(sym.perm, perm);
    if (isIdentity(change)) return sym.value;
    const shape = permuteShape(sym.value.shape, change);
    const constant = this.graph.initializers.get(sym.value.name);
    if (constant) {
      return this.graph.derived(constant, `order ${change}`, () =>
        this.graph.constant(constant.type, shape, permuteData(constant.data, constant.shape, change)),
      );
    }
    if (sameOrderOfLongAxes(sym.value.shape, change)) return this.reshape(sym.value, shape);
    return this.graph.op('Transpose', [sym.value], { perm: change }, { shape });
  }

  /** The value in the program's own order. */
  plain(sym: Sym): Value {
    return this.as(sym, identity(sym.shape.length));
  }

  reshape(value: Value, shape: readonly number[]): Value {
    if (value.shape.join() === shape.join()) return value;
    const constant = this.graph.initializers.get(value.name);
    if (constant) {
      const make = () => this.graph.constant(constant.type, shape, constant.data);
      return this.graph.derived(constant, `shape ${shape}`, make);
    }
    const source = this.reshaped.get(value.name);
    if (source) return this.reshape(source, shape);
    const result = this.graph.op('Reshape', [value, this.graph.ints(shape)], {}, { shape });
    this.reshaped.set(result.name, value);
    return result;
  }

  expand(value: Value, shape: readonly number[]): Value {
    if (value.shape.join() === shape.join()) return value;
    return this.graph.op('Expand', [value, this.graph.ints(shape)], {}, { shape });
  }

  /** For `inParts`. */
  get bytesAtOnce(): number {
    return this.target.bytesAtOnce;
  }

  // What TF.js asks of a backend -------------------------------------------------------------------------------------

  override write(values: tf.backend_util.BackendValues | null, shape: number[], dtype: tf.DataType): object {
    const data = typed(dtype, sizeOf(shape));
    for (let i = 0; i < data.length; i++) data[i] = Number(values?.[i] ?? 0) as never;
    const first = Number(data[0]);
    const isFilled = (data as Float32Array).every((x) => Object.is(x, first));
    if (!isFilled || !this.written.has(first)) refuseHostRandomness();
    if (isFilled) {
      this.written.add(first);
      return this.filled(shape, first, dtype).dataId;
    }
    return this.out(this.graph.constant(onnxType(dtype), shape, data), shape, dtype).dataId;
  }

  override move(): void {
    throw new Error(
      'internal: a tensor of another backend reached the tracer; hand it to the program as an input or constant',
    );
  }

  override readSync(): never {
    throw new Error(
      'internal: a symbolic tensor has no value: the program reads from the host while it is traced',
    );
  }

  override async read(): Promise<never> {
    return this.readSync();
  }

  override numDataIds(): number {
    return 0;
  }
  override disposeData(): boolean {
    return true;
  }
  override incRef(): void {}
  override refCount(): number {
    return 1;
  }
  override timerAvailable(): boolean {
    return false;
  }
  override floatPrecision(): 32 {
    return 32;
  }
  override epsilon(): number {
    return 1e-7;
  }
  override memory(): { unreliable: boolean } {
    return { unreliable: true };
  }
}

function typed(dtype: tf.DataType, length: number): Exclude<OnnxData, BigInt64Array | Uint16Array> {
  if (dtype === 'float32') return new Float32Array(length);
  return dtype === 'int32' ? new Int32Array(length) : new Uint8Array(length);
}

/** Whether a permutation moves only axes of length 1, so that the numbers stay where they are. */
function sameOrderOfLongAxes(shape: readonly number[], perm: readonly number[]): boolean {
  const long = perm.filter((axis) => shape[axis] !== 1);
  return long.every((axis, i) => axis > (long[i - 1] ?? -1));
}

/** TF.js draws random numbers on the host: a trace would bake one draw in for ever. */
function refuseHostRandomness(): void {
  const drawn =
    /^(randomNormal|randomUniform|randomUniformInt|randomStandardNormal|truncatedNormal|randomGamma|rand|dropout|multinomial)_$/;
  const op = callers().find((name) => drawn.test(name));
  if (op) {
    throw new Error(
      `internal: tf.${op.slice(0, -1)} draws on the host while the program is traced; make randomness an input of the step`,
    );
  }
}

/** Names of the functions that are at work, innermost first: to write the stack out as text takes far longer. */
function callers(): string[] {
  const { prepareStackTrace } = Error;
  Error.prepareStackTrace = (_, sites) => sites.map((site) => site.getFunctionName() ?? '');
  try {
    return new Error().stack as unknown as string[];
  } finally {
    Error.prepareStackTrace = prepareStackTrace;
  }
}

/**
 * Python's pickle, as far as PyTorch's state dictionaries use it (protocols 2 to 4, Lib/pickletools.py). Nothing is
 * imported or executed: a name of a class or function stays a name, and a call is an error unless a table says what it
 * stands for.
 */
import { expected, type UserError } from '../base/errors.js';

/** A class or function that the file names. Inert. */
export class Name {
  constructor(readonly name: string) {}
}

/** An instance of a class that vqgen does not look into, such as a training's settings. Inert. */
export class Opaque {
  constructor(readonly name: string) {}
}

export type Value =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | Name
  | Opaque
  | Value[]
  | Set<Value>
  | Map<Value, Value>
  | object;

export interface PickleHooks {
  /**
   * What a call of an allowed name gives. @throws Error, with what is wrong, where the arguments are not what they
   * should be
   */
  readonly calls: Readonly<Record<string, (args: readonly Value[]) => Value>>;
  /** Names whose instances become `Opaque`, whatever they were called with. */
  readonly isOpaque: (name: string) => boolean;
  /** What a persistent id stands for. */
  readonly persistent: (id: Value) => Value;
}

/** Damaged, or not what PyTorch writes; the message ends the sentence "received …". */
class Malformed extends Error {}

/**
 * What is read at most, in bytes and instructions: the objects that an instruction makes may take many times its size.
 * A tensor takes some 30.
 */
export const longestPickle = 1 << 24;
const mostInstructions = 2_000_000;

/**
 * The object of the pickle that begins at `at`, and where it ends.
 *
 * @param file what to call it in errors
 * @throws UserError for a call that is not allowed, naming it, and for a damaged pickle
 */
export function readPickle(
  bytes: Uint8Array,
  hooks: PickleHooks,
  file: string,
  at = 0,
): { value: Value; end: number } {
  const machine = new Machine(bytes, at, hooks);
  try {
    return { value: machine.run(), end: machine.at };
  } catch (error) {
    if (error instanceof Forbidden) throw forbidden(file, error.message);
    if (error instanceof Malformed || error instanceof RangeError) {
      throw expected(
        'a PyTorch file',
        file,
        `a damaged one: ${error.message}`,
        'It may be cut short: copy it again.',
        error,
      );
    }
    throw error;
  }
}

class Forbidden extends Error {}

const forbidden = (file: string, what: string): UserError =>
  expected(
    'a PyTorch file that holds tensors only',
    file,
    `one that wants ${what}`,
    'Nothing of it was executed. If you trust it, save its state dictionary alone: torch.save(model.state_dict(), …).',
  );

const mark = Symbol('mark');
type Slot = Value | typeof mark;

const text = new TextDecoder('utf-8', { fatal: false });

class Machine {
  private readonly stack: Slot[] = [];
  private readonly memo = new Map<number, Value>();
  private readonly view: DataView;

  constructor(
    private readonly bytes: Uint8Array,
    public at: number,
    private readonly hooks: PickleHooks,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  run(): Value {
    for (let count = 0; count < mostInstructions; count++) {
      const code = this.byte();
      if (code === 0x2e) return this.pop(); // STOP
      const act = opcodes[code];
      if (!act) {
        throw new Forbidden(`the pickle instruction 0x${code.toString(16).padStart(2, '0')} executed`);
      }
      act(this);
    }
    throw new Malformed(`it has more than ${mostInstructions} instructions`);
  }

  // What the file holds.

  take(length: number): Uint8Array {
    if (!(length >= 0 && this.at + length <= this.bytes.length)) throw new Malformed('it ends too early');
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }
  byte = (): number => this.view.getUint8(this.advance(1));
  uint16 = (): number => this.view.getUint16(this.advance(2), true);
  uint32 = (): number => this.view.getUint32(this.advance(4), true);
  int32 = (): number => this.view.getInt32(this.advance(4), true);
  float64 = (): number => this.view.getFloat64(this.advance(8), false);
  uint64 = (): number => Number(this.view.getBigUint64(this.advance(8), true));
  text = (length: number): string => text.decode(this.take(length));

  line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    if (end < 0) throw new Malformed('it ends too early');
    const line = this.text(end - this.at);
    this.at = end + 1;
    return line;
  }

  /** Little-endian two's complement. */
  integer(length: number): number | bigint {
    if (length > 64) throw new Malformed(`a number of ${length} bytes`);
    let value = 0n;
    const bytes = this.take(length);
    for (const byte of bytes.toReversed()) value = (value << 8n) | BigInt(byte);
    if ((bytes.at(-1) ?? 0) >= 0x80) value -= 1n << BigInt(8 * length);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  private advance(length: number): number {
    this.take(length);
    return this.at - length;
  }

  // The stack and the memo.

  push(value: Slot): void {
    this.stack.push(value);
  }

  pop(): Value {
    const value = this.stack.pop();
    if (value === undefined || value === mark) throw new Malformed('its stack is empty');
    return value;
  }

  top(): Value {
    const value = this.pop();
    this.stack.push(value);
    return value;
  }

  toMark(): Value[] {
    const from = this.stack.lastIndexOf(mark);
    if (from < 0) throw new Malformed('a mark is missing');
    const values = this.stack.splice(from);
    return values.slice(1) as Value[];
  }

  remember(key: number, value = this.top()): void {
    this.memo.set(key, value);
  }
  memorise = (): void => this.remember(this.memo.size);
  recall(key: number): void {
    const value = this.memo.get(key);
    if (value === undefined) throw new Malformed(`there is no object ${key}`);
    this.push(value);
  }

  // Collections.

  append(values: readonly Value[]): void {
    const list = this.top();
    if (list instanceof Set) for (const value of values) list.add(value);
    else if (Array.isArray(list)) for (const value of values) list.push(value);
    else if (!(list instanceof Opaque)) throw new Malformed('an item without a list');
  }

  setItems(pairs: readonly Value[]): void {
    const dict = this.top();
    if (dict instanceof Opaque) return;
    if (!(dict instanceof Map)) throw new Malformed('an item without a dictionary');
    setPairs(dict, pairs);
  }

  // Names, calls and instances.

  name(module: Value, name: Value): void {
    if (typeof module !== 'string' || typeof name !== 'string') throw new Malformed('a name that is no text');
    this.push(new Name(`${module}.${name}`));
  }

  call(): void {
    const args = this.pop();
    const callee = this.pop();
    const name = callee instanceof Name ? callee.name : undefined;
    const { calls } = this.hooks;
    const make = name !== undefined && Object.hasOwn(calls, name) ? calls[name] : undefined;
    if (make && Array.isArray(args)) {
      try {
        this.push(make(args));
      } catch (error) {
        throw error instanceof Forbidden ? error : new Malformed((error as Error).message);
      }
    } else if (name !== undefined && this.hooks.isOpaque(name)) this.push(new Opaque(name));
    else throw new Forbidden(`${name ?? 'an object'} called`);
  }

  /** The state of an instance: dictionaries have none that matters. */
  build(): void {
    this.pop();
    const object = this.top();
    if (!(object instanceof Opaque || object instanceof Map))
      throw new Forbidden('the state of an object set');
  }

  persistent(): void {
    try {
      this.push(this.hooks.persistent(this.pop()));
    } catch (error) {
      throw new Malformed((error as Error).message);
    }
  }
}

const dictOf = (pairs: readonly Value[]): Map<Value, Value> => setPairs(new Map(), pairs);

/** Keys and values in turn. */
function setPairs(dict: Map<Value, Value>, pairs: readonly Value[]): Map<Value, Value> {
  for (let i = 0; i + 1 < pairs.length; i += 2) dict.set(pairs[i]!, pairs[i + 1]!);
  return dict;
}

/** Of `n` values on the stack, a tuple: tuples and lists are one here. */
const tuple = (n: number) => (m: Machine) => {
  const values = Array.from({ length: n }, () => m.pop());
  m.push(values.reverse());
};

/** By their byte; named as in pickletools. What is missing here is refused. */
const opcodes: Readonly<Record<number, (m: Machine) => void>> = {
  128: (m) => void m.byte(), // PROTO
  149: (m) => void m.take(8), // FRAME
  40: (m) => m.push(mark), // MARK
  48: (m) => void m.pop(), // POP
  49: (m) => void m.toMark(), // POP_MARK
  50: (m) => m.push(m.top()), // DUP
  113: (m) => m.remember(m.byte()), // BINPUT
  114: (m) => m.remember(m.uint32()), // LONG_BINPUT
  148: (m) => m.memorise(), // MEMOIZE
  104: (m) => m.recall(m.byte()), // BINGET
  106: (m) => m.recall(m.uint32()), // LONG_BINGET
  78: (m) => m.push(null), // NONE
  136: (m) => m.push(true), // NEWTRUE
  137: (m) => m.push(false), // NEWFALSE
  74: (m) => m.push(m.int32()), // BININT
  75: (m) => m.push(m.byte()), // BININT1
  77: (m) => m.push(m.uint16()), // BININT2
  138: (m) => m.push(m.integer(m.byte())), // LONG1
  139: (m) => m.push(m.integer(m.int32())), // LONG4
  71: (m) => m.push(m.float64()), // BINFLOAT
  88: (m) => m.push(m.text(m.uint32())), // BINUNICODE
  140: (m) => m.push(m.text(m.byte())), // SHORT_BINUNICODE
  141: (m) => m.push(m.text(m.uint64())), // BINUNICODE8
  84: (m) => m.push(m.text(m.int32())), // BINSTRING
  85: (m) => m.push(m.text(m.byte())), // SHORT_BINSTRING
  66: (m) => m.push(m.take(m.uint32())), // BINBYTES
  67: (m) => m.push(m.take(m.byte())), // SHORT_BINBYTES
  93: (m) => m.push([]), // EMPTY_LIST
  108: (m) => m.push(m.toMark()), // LIST
  97: (m) => m.append([m.pop()]), // APPEND
  101: (m) => m.append(m.toMark()), // APPENDS
  41: tuple(0), // EMPTY_TUPLE
  133: tuple(1), // TUPLE1
  134: tuple(2), // TUPLE2
  135: tuple(3), // TUPLE3
  116: (m) => m.push(m.toMark()), // TUPLE
  125: (m) => m.push(new Map()), // EMPTY_DICT
  100: (m) => m.push(dictOf(m.toMark())), // DICT
  115: (m) => {
    const value = m.pop();
    m.setItems([m.pop(), value]);
  }, // SETITEM
  117: (m) => m.setItems(m.toMark()), // SETITEMS
  143: (m) => m.push(new Set()), // EMPTY_SET
  144: (m) => m.append(m.toMark()), // ADDITEMS
  145: (m) => m.push(new Set(m.toMark())), // FROZENSET
  99: (m) => m.name(m.line(), m.line()), // GLOBAL
  147: (m) => {
    const name = m.pop();
    m.name(m.pop(), name);
  }, // STACK_GLOBAL
  82: (m) => m.call(), // REDUCE
  129: (m) => m.call(), // NEWOBJ
  98: (m) => m.build(), // BUILD
  81: (m) => m.persistent(), // BINPERSID
};

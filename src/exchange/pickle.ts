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

class TooMuch extends Error {}

/** Bytes that are read at most. */
export const longestPickle = 1 << 24;

/**
 * What all pickles of a file may do at most: an instruction is 1, each element that a call takes another, and each
 * collection that is made as many as a small one takes memory. A tensor takes some 50.
 */
const mostWork = 1_000_000;
const collection = 8;
const longestName = 256;

/** Pickles that follow each other in `bytes`, which share one budget. */
export interface Pickles {
  /**
   * The object of the next one.
   *
   * @throws UserError for a call that is not allowed, naming it, for a damaged pickle and for one that never ends
   */
  next(): Value;
  /** Where the next one begins. */
  readonly at: number;
}

/** @param file what to call it in errors */
export function openPickles(bytes: Uint8Array, hooks: PickleHooks, file: string): Pickles {
  let machine = new Machine(bytes, { at: 0, work: mostWork }, hooks);
  return {
    next: () => {
      machine = new Machine(bytes, machine.place, hooks);
      return run(machine, file);
    },
    get at() {
      return machine.place.at;
    },
  };
}

function run(machine: Machine, file: string): Value {
  try {
    return machine.run();
  } catch (error) {
    if (error instanceof Forbidden) throw forbidden(file, error.message);
    if (error instanceof TooMuch)
      throw expected('a PyTorch file', file, `a pickle of more than ${mostWork} steps`, saveAlone);
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

const saveAlone = 'Save its state dictionary alone: torch.save(model.state_dict(), …).';

const forbidden = (file: string, what: string): UserError =>
  expected(
    'a PyTorch file that holds tensors only',
    file,
    `one that wants ${what}`,
    `Nothing of it was executed. If you trust it: ${saveAlone}`,
  );

const mark = Symbol('mark');
type Slot = Value | typeof mark;

class Machine {
  private readonly stack: Slot[] = [];
  private readonly memo = new Map<number, Value>();
  private readonly bytes: Buffer;

  /** @param place where it stands in the bytes, and what it may still do */
  constructor(
    bytes: Uint8Array,
    readonly place: { at: number; work: number },
    private readonly hooks: PickleHooks,
  ) {
    this.bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  spend(work: number): void {
    this.place.work -= work;
    if (this.place.work < 0) throw new TooMuch();
  }

  run(): Value {
    for (;;) {
      this.spend(1);
      const code = this.byte();
      if (code === 0x2e) return this.pop(); // STOP
      const act = opcodes[code];
      if (!act) {
        throw new Forbidden(`the pickle instruction 0x${code.toString(16).padStart(2, '0')} executed`);
      }
      act(this);
    }
  }

  // What the file holds.

  take(length: number): Uint8Array {
    const from = this.advance(length);
    return this.bytes.subarray(from, from + length);
  }
  byte = (): number => this.bytes[this.advance(1)]!;
  uint16 = (): number => this.bytes.readUInt16LE(this.advance(2));
  uint32 = (): number => this.bytes.readUInt32LE(this.advance(4));
  int32 = (): number => this.bytes.readInt32LE(this.advance(4));
  float64 = (): number => this.bytes.readDoubleBE(this.advance(8));
  uint64 = (): number => Number(this.bytes.readBigUInt64LE(this.advance(8)));

  text(length: number): string {
    this.spend(2);
    const from = this.advance(length);
    return this.bytes.toString('utf8', from, from + length);
  }

  line(): string {
    const end = this.bytes.indexOf(0x0a, this.place.at);
    if (end < 0) throw new Malformed('it ends too early');
    const line = this.text(end - this.place.at);
    this.place.at = end + 1;
    return line;
  }

  /** Little-endian two's complement. */
  integer(length: number): number | bigint {
    if (length > 64) throw new Malformed(`a number of ${length} bytes`);
    this.spend(length);
    const digits = Buffer.from(this.take(length)).reverse().toString('hex');
    const value = BigInt.asIntN(8 * length, BigInt(`0x0${digits}`));
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  /** @returns where it was */
  advance(length: number): number {
    const from = this.place.at;
    if (!(length >= 0 && from + length <= this.bytes.length)) throw new Malformed('it ends too early');
    this.place.at += length;
    return from;
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
    if (module.length + name.length > longestName) throw new Malformed('a name that is too long');
    this.push(new Name(`${module}.${name}`));
  }

  call(): void {
    const args = this.pop();
    const callee = this.pop();
    const name = callee instanceof Name ? callee.name : undefined;
    const { calls } = this.hooks;
    const make = name !== undefined && Object.hasOwn(calls, name) ? calls[name] : undefined;
    this.spend(collection + sizeOf(args));
    if (make && Array.isArray(args)) {
      for (const arg of args) this.spend(sizeOf(arg));
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

const sizeOf = (value: Value): number =>
  Array.isArray(value) ? value.length : value instanceof Set || value instanceof Map ? value.size : 0;

const dictOf = (pairs: readonly Value[]): Map<Value, Value> => setPairs(new Map(), pairs);

/** Keys and values in turn. */
function setPairs(dict: Map<Value, Value>, pairs: readonly Value[]): Map<Value, Value> {
  for (let i = 0; i + 1 < pairs.length; i += 2) dict.set(pairs[i]!, pairs[i + 1]!);
  return dict;
}

/** Of `n` values on the stack, a tuple: tuples and lists are one here. */
const tuple = (n: number) => (m: Machine) => {
  m.spend(n);
  const values = Array.from({ length: n }, () => m.pop());
  m.push(values.reverse());
};

/** A new collection. */
const made = (make: (m: Machine) => Value) => (m: Machine) => {
  m.spend(collection);
  m.push(make(m));
};

/** By their byte; named as in pickletools. What is missing here is refused. */
const opcodes: Readonly<Record<number, (m: Machine) => void>> = {
  128: (m) => void m.byte(), // PROTO
  149: (m) => void m.advance(8), // FRAME
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
  66: made((m) => m.take(m.uint32())), // BINBYTES
  67: made((m) => m.take(m.byte())), // SHORT_BINBYTES
  93: made(() => []), // EMPTY_LIST
  108: made((m) => m.toMark()), // LIST
  97: (m) => m.append([m.pop()]), // APPEND
  101: (m) => m.append(m.toMark()), // APPENDS
  41: tuple(0), // EMPTY_TUPLE
  133: tuple(1), // TUPLE1
  134: tuple(2), // TUPLE2
  135: tuple(3), // TUPLE3
  116: made((m) => m.toMark()), // TUPLE
  125: made(() => new Map()), // EMPTY_DICT
  100: made((m) => dictOf(m.toMark())), // DICT
  115: (m) => {
    const value = m.pop();
    m.setItems([m.pop(), value]);
  }, // SETITEM
  117: (m) => m.setItems(m.toMark()), // SETITEMS
  143: made(() => new Set()), // EMPTY_SET
  144: (m) => m.append(m.toMark()), // ADDITEMS
  145: made((m) => new Set(m.toMark())), // FROZENSET
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

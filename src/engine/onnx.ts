/**
 * Writes the ONNX file format (onnx.proto3, https://github.com/onnx/onnx): field numbers declared here, bytes by
 * protobufjs.
 */
import protobuf from 'protobufjs';
import type { Attr, Initializer, Node, OnnxType, Value } from './graph.js';

const OPSET = 20;
const IR_VERSION = 9;

/**
 * Of files for others: what Debian 12's `onnx` (1.12) still checks, and all operators that `portableTarget` needs are
 * in.
 */
export const PORTABLE = { opset: 17, irVersion: 8 };

export const ELEMENT: Record<OnnxType, number> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
};
/** `dataLocation` of what is in another file. */
const EXTERNAL = 1;
const ATTRIBUTE = { float: 1, int: 2, string: 3, graph: 5, ints: 7 };

const repeated = (type: string, id: number) => ({ rule: 'repeated', type, id });
const field = (type: string, id: number) => ({ type, id });

const schema = protobuf.Root.fromJSON({
  nested: {
    Model: {
      fields: {
        irVersion: field('int64', 1),
        producerName: field('string', 2),
        producerVersion: field('string', 3),
        graph: field('Graph', 7),
        opsetImport: repeated('Opset', 8),
        metadataProps: repeated('Entry', 14),
      },
    },
    Opset: { fields: { domain: field('string', 1), version: field('int64', 2) } },
    Entry: { fields: { key: field('string', 1), value: field('string', 2) } },
    Graph: {
      fields: {
        node: repeated('Node', 1),
        name: field('string', 2),
        initializer: repeated('Tensor', 5),
        input: repeated('ValueInfo', 11),
        output: repeated('ValueInfo', 12),
      },
    },
    Node: {
      fields: {
        input: repeated('string', 1),
        output: repeated('string', 2),
        name: field('string', 3),
        opType: field('string', 4),
        attribute: repeated('Attribute', 5),
        domain: field('string', 7),
      },
    },
    Attribute: {
      fields: {
        name: field('string', 1),
        f: field('float', 2),
        i: field('int64', 3),
        s: field('bytes', 4),
        g: field('Graph', 6),
        ints: repeated('int64', 8),
        type: field('int32', 20),
      },
    },
    Tensor: {
      fields: {
        dims: repeated('int64', 1),
        dataType: field('int32', 2),
        name: field('string', 8),
        rawData: field('bytes', 9),
        externalData: repeated('Entry', 13),
        dataLocation: field('int32', 14),
      },
    },
    ValueInfo: { fields: { name: field('string', 1), type: field('Type', 2) } },
    Type: { fields: { tensorType: field('TensorType', 1) } },
    TensorType: { fields: { elemType: field('int32', 1), shape: field('Shape', 2) } },
    Shape: { fields: { dim: repeated('Dimension', 1) } },
    Dimension: { fields: { dimValue: field('int64', 1), dimParam: field('string', 2) } },
  },
});
const Model = schema.lookupType('Model');
const Entry = schema.lookupType('Entry');

/** A graph input or output; a string dimension is symbolic. */
export interface Port {
  readonly name: string;
  readonly type: OnnxType;
  readonly shape: readonly (number | string)[];
}

export interface OnnxGraph {
  readonly name: string;
  readonly nodes: readonly (Node & { readonly graphs?: Record<string, OnnxGraph> })[];
  readonly initializers: readonly Initializer[];
  readonly inputs: readonly Port[];
  readonly outputs: readonly Port[];
}

/** A model in two parts: its `.onnx` file, and a file of large initializers that lies beside it as `WEIGHTS`. */
export interface EncodedModel {
  readonly model: Uint8Array;
  /** What the second file holds, in pieces; views of the initializers, not copies. */
  readonly weights: readonly Uint8Array[];
}

export const WEIGHTS = 'weights.bin';

/** Initializers from this size (bytes) on are in the second file. */
const LARGE = 4096;
const ALIGNMENT = 64;

export function encodeModel(graph: OnnxGraph): EncodedModel {
  const weights: Uint8Array[] = [];
  let offset = 0;
  const place = (bytes: Uint8Array): object => {
    if (bytes.length < LARGE) return { rawData: bytes };
    const entries = { location: WEIGHTS, offset, length: bytes.length };
    const padding = -bytes.length & (ALIGNMENT - 1);
    weights.push(bytes, new Uint8Array(padding));
    offset += bytes.length + padding;
    const externalData = Object.entries(entries).map(([key, value]) => ({ key, value: `${value}` }));
    return { externalData, dataLocation: EXTERNAL };
  };
  const model = Model.encode({
    irVersion: IR_VERSION,
    producerName: 'vqgen',
    graph: graphMessage(graph, place),
    opsetImport: [
      { domain: '', version: OPSET },
      { domain: 'com.microsoft', version: 1 },
    ],
  } as never).finish();
  return { model, weights };
}

/** One file for any runtime, weights inside, with metadata; nodes of the standard's own domain only. */
export function encodePortable(graph: OnnxGraph, metadata: Readonly<Record<string, string>>): Uint8Array {
  return Model.encode({
    irVersion: PORTABLE.irVersion,
    producerName: 'vqgen',
    producerVersion: metadata.vqgen ?? '',
    graph: graphMessage(graph, (rawData) => ({ rawData })),
    opsetImport: [{ domain: '', version: PORTABLE.opset }],
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
  } as never).finish();
}

/** Of one entry, and of all together, bytes. */
const longestMetadata = 1 << 22;
const mostEntries = 1000;
/** Fields of a model beside its graph: a few, and a version for each domain of operators. */
const mostFields = 10_000;

/**
 * The metadata of an ONNX file. Of its graph nothing is read.
 *
 * @throws Error where the file is none
 */
export async function readMetadata({ read, size }: Source): Promise<Record<string, string>> {
  const found: [string, string][] = [];
  let [at, fields, bytes] = [0, 0, 0];
  while (at < size) {
    if (++fields > mostFields) throw new Error('It has too many fields.');
    const head = protobuf.Reader.create(await read(at, longestHead));
    const [field, wire] = fieldOf(head.uint32());
    if (wire === 0) head.skip();
    else if (wire === 1) head.skip(8);
    else if (wire === 5) head.skip(4);
    else if (wire !== 2) throw new Error('It is no message.');
    const length = wire === 2 ? head.uint32() : 0;
    at += head.pos;
    if (at + length > size) throw new Error('It ends too early.');
    if (field === metadataProps && wire === 2) {
      bytes += length;
      if (bytes > longestMetadata || found.length >= mostEntries) throw new Error('It says too much.');
      const { key, value } = Entry.toObject(Entry.decode(await read(at, length)), { defaults: true });
      found.push([key, value]);
    }
    at += length;
  }
  return Object.fromEntries(found);
}

/** Bytes of a file. */
interface Source {
  read(from: number, length: number): Promise<Uint8Array>;
  readonly size: number;
}

/** A field's number with its type, then its length or its value: each of 10 bytes at most. */
const longestHead = 20;
const metadataProps = 14;
const fieldOf = (tag: number): [field: number, wire: number] => [tag >>> 3, tag & 7];

export function port(value: Value, name = value.name): Port {
  return { name, type: value.type, shape: value.shape };
}

function graphMessage(graph: OnnxGraph, place: (bytes: Uint8Array) => object): object {
  return {
    name: graph.name,
    node: graph.nodes.map((node, i) => ({
      input: node.inputs,
      output: node.outputs,
      name: `${node.op}_${i}`,
      opType: node.op,
      domain: node.domain,
      attribute: [
        ...Object.entries(node.attrs).map(([name, attr]) => attributeMessage(name, attr)),
        ...Object.entries(node.graphs ?? {}).map(([name, g]) => ({
          name,
          g: graphMessage(g, place),
          type: ATTRIBUTE.graph,
        })),
      ],
    })),
    initializer: graph.initializers.map((t) => ({
      dims: t.shape,
      dataType: ELEMENT[t.type],
      name: t.name,
      ...place(new Uint8Array(t.data.buffer, t.data.byteOffset, t.data.byteLength)),
    })),
    input: graph.inputs.map(portMessage),
    output: graph.outputs.map(portMessage),
  };
}

function attributeMessage(name: string, attr: Attr): object {
  if (typeof attr === 'number') return { name, i: attr, type: ATTRIBUTE.int };
  if (typeof attr === 'string') return { name, s: new TextEncoder().encode(attr), type: ATTRIBUTE.string };
  if ('float' in attr) return { name, f: attr.float, type: ATTRIBUTE.float };
  return { name, ints: attr, type: ATTRIBUTE.ints };
}

function portMessage({ name, type, shape }: Port): object {
  const dim = shape.map((n) => (typeof n === 'number' ? { dimValue: n } : { dimParam: n }));
  return { name, type: { tensorType: { elemType: ELEMENT[type], shape: { dim } } } };
}

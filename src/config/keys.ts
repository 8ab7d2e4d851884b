/** The config schema in words: every dotted key, and what stands there (`a whole number above 0`). */
import * as z from 'zod';
import { configSchema } from './schema.js';

interface Node {
  type?: string | string[];
  properties?: Record<string, Node>;
  items?: Node | false;
  prefixItems?: Node[];
  enum?: string[];
  const?: string;
  anyOf?: Node[];
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
  exclusiveMaximum?: number;
  maxItems?: number;
}

const root = z.toJSONSchema(configSchema, { io: 'input' }) as Node;

/** Every dotted key that has a value of its own: `stage1.disc.start`. */
export const configKeys: readonly string[] = leaves(root, '');

function leaves(node: Node, prefix: string): string[] {
  if (!node.properties) return [prefix];
  return Object.entries(node.properties).flatMap(([key, child]) =>
    leaves(child, prefix ? `${prefix}.${key}` : key),
  );
}

/**
 * What the key at `path` may hold; `undefined` where there is no such key.
 *
 * @param value where it may hold different things: what a value of this type would have to be
 */
export function describeKey(path: readonly PropertyKey[], value?: unknown): string | undefined {
  const nodes = nodesAt(root, path);
  const alike = nodes.filter(({ type }) => type === (Number.isInteger(value) ? 'integer' : typeof value));
  const words = (alike.length > 0 ? alike : nodes).map(describe);
  return words.length > 0 ? [...new Set(words)].join(' or ') : undefined;
}

function nodesAt(node: Node, [key, ...rest]: readonly PropertyKey[]): Node[] {
  if (key === undefined) return [node];
  const nodes = (node.anyOf ?? [node]).map(({ properties, prefixItems, items }) => {
    if (typeof key === 'number') return prefixItems?.[key] ?? (items || undefined);
    return properties && Object.hasOwn(properties, key) ? properties[key as string] : undefined;
  });
  return nodes.flatMap((child) => (child ? nodesAt(child, rest) : []));
}

function describe(node: Node): string {
  const types = [node.type].flat();
  const orNull = types.includes('null') ? ' or null' : '';
  if (node.anyOf) return node.anyOf.map(describe).join(' or ');
  if (node.const !== undefined) return node.const;
  if (node.enum) return `one of ${node.enum.join(', ')}`;
  if (node.properties) return 'a section of keys';
  if (node.prefixItems) return `a list of ${node.prefixItems.length} numbers`;
  if (types.includes('array'))
    return `a list of ${node.maxItems === undefined ? '' : `at most ${node.maxItems} `}${describe(
      node.items as Node,
    )
      .replace(/^an? /, '')
      .replace(/number|section/, '$&s')}`;
  if (node.type === 'null') return 'null';
  if (types.includes('boolean')) return 'true or false';
  if (types.includes('string')) return `text${orNull}`;
  return `${types.includes('integer') ? 'a whole number' : 'a number'}${range(node)}${orNull}`;
}

function range(n: Node): string {
  const words: string[] = [];
  if (n.exclusiveMinimum !== undefined) words.push(`above ${n.exclusiveMinimum}`);
  if (n.minimum !== undefined) words.push(`of at least ${n.minimum}`);
  if (n.exclusiveMaximum !== undefined) words.push(`below ${n.exclusiveMaximum}`);
  if (n.maximum !== undefined && n.maximum < Number.MAX_SAFE_INTEGER) words.push(`of at most ${n.maximum}`);
  return words.length > 0 ? ` ${words.join(' and ')}` : '';
}

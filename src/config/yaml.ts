/** YAML that others wrote: looked over before it is composed, which some texts make last for ever. */
import { Lexer, parseDocument } from 'yaml';

/** Bytes. The longest that comes with vqgen has 15 kB. */
export const longestYaml = 1 << 16;

const deepestFlow = 24;
const deepest = 64;
/** Words, signs and spaces; the longest that comes with vqgen has 1500. */
const mostTokens = 10_000;
const mostAliases = 100;

/**
 * What a text stands for: plain objects, lists, texts, numbers, booleans and null, none of which holds itself.
 *
 * @throws Error for what is no YAML, and for what no config needs: tags, sections as keys, many aliases
 */
export function parseYaml(text: string): unknown {
  checkTokens(text);
  const document = parseDocument(text, { schema: 'core', resolveKnownTags: false, logLevel: 'error' });
  const [wrong] = [...document.errors, ...document.warnings];
  if (wrong) throw wrong;
  const value: unknown = document.toJS({ maxAliasCount: mostAliases });
  checkTree(value);
  return value;
}

/** What precedes a scalar of the text's own words. */
const scalar = '\u001f';

function checkTokens(text: string): void {
  if (text.length > longestYaml) throw new Error(`It has more than ${longestYaml} characters`);
  let [before, depth, tokens, aliases] = ['', 0, 0, 0];
  for (const token of new Lexer().lex(text)) {
    if (before !== scalar) {
      if (token === '{' || token === '[') depth++;
      else if (token === '}' || token === ']') depth--;
      else if (token === '?') throw new Error('A section cannot be a key');
      else if (token.startsWith('*')) aliases++;
    }
    before = token;
    if (++tokens > mostTokens) throw new Error(`More than ${mostTokens} words and signs`);
    if (depth > deepestFlow) throw new Error(`More than ${deepestFlow} brackets in each other`);
    if (aliases > mostAliases) throw new Error(`More than ${mostAliases} aliases`);
  }
}

function checkTree(value: unknown, depth = 0): void {
  if (typeof value !== 'object' || value === null) return;
  if (depth > deepest) throw new Error('A section that holds itself, or too many in each other');
  if (Object.hasOwn(value, '__proto__')) throw new Error('__proto__ is no key');
  for (const inner of Object.values(value)) checkTree(inner, depth + 1);
}

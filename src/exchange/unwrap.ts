/**
 * Which tensors of a file are the model's, and what they are called without what trainers put around them:
 * dictionaries, prefixes of modules that hold the model, and running averages, which are taken in place of the weights
 * as vqgen's own are.
 */

/** Tensors by name, and the keys under which a file holds them. */
export interface Dictionary<T> {
  readonly keys: readonly string[];
  readonly tensors: ReadonlyMap<string, T>;
}

interface Shaped {
  readonly shape: readonly number[];
}

const averageKeys = /^(ema|model_ema|ema_model|params_ema|ema_state_dict|ema_params|averaged_model|shadow)$/;
const holderKeys =
  /^(state_dict|model|module|model_state_dict|params|weights|net|network|generator|online_model|vqgan|vqmodel|vqvae|vae)$/;

/** Keys of dictionaries that may hold the model, and first parts of its tensors' names. */
export const isWrapper = (key: string): boolean => averageKeys.test(key) || holderKeys.test(key);

/** Modules that hold another one, anywhere in a name: parallel, compiled and sharded ones. */
const hulls = ['module', '_orig_mod', '_fsdp_wrapped_module', '_forward_module'];

/** A name of each thing that is imported. */
const landmarks = [
  'encoder.conv_in.weight',
  'first_stage_model.encoder.conv_in.weight',
  'transformer.tok_emb.weight',
  'enc_b.blocks.0.weight',
  'features.0.weight',
  'net.slice1.0.weight',
  'lin0.weight',
  'lin0.model.1.weight',
];

/** First parts of names that are looked at; files that are known have one or two. */
const mostPrefixes = 16;

/** How far averages have come, beside them. */
const counters = /^(n_averaged|initted|step|decay|num_updates)$/;

interface Group<T> extends Dictionary<T> {
  /** Modules whose name was taken out of names. */
  readonly hulls: readonly string[];
}

/** @returns also what was taken off, in words; none for the published layout */
export function unwrap<T extends Shaped>(
  dictionaries: readonly Dictionary<T>[],
): { tensors: Map<string, T>; unwrapped: readonly string[] } {
  const groups = dictionaries.map(withoutHulls).flatMap(byFirstPart).flatMap(fromShadows);
  const known = groups.filter(({ tensors }) => landmarks.some((name) => tensors.has(name)));
  const found = known.length > 0 ? known : groups;
  const averages = largest(found.filter(isAverage));
  const main = largest(found.filter((group) => !isAverage(group))) ?? averages;
  if (!main) return { tensors: new Map(), unwrapped: [] };
  const tensors = new Map(main.tensors);
  let replaced = 0;
  for (const [name, t] of averages?.tensors ?? []) {
    if (main === averages || tensors.get(name)?.shape.join() !== t.shape.join()) continue;
    tensors.set(name, t);
    replaced++;
  }
  const around = [...main.keys, ...main.hulls];
  return {
    tensors,
    unwrapped: [
      ...(around.join() === 'state_dict' ? [] : around),
      ...(averages && replaced > 0
        ? [`averages of ${averages.keys.join('.')} in place of ${replaced} of ${tensors.size} tensors`]
        : []),
    ],
  };
}

const isAverage = ({ keys }: Group<unknown>): boolean => keys.some((key) => averageKeys.test(key));

const largest = <T>(groups: readonly Group<T>[]): Group<T> | undefined =>
  groups.reduce<Group<T> | undefined>((a, b) => (a && a.tensors.size >= b.tensors.size ? a : b), undefined);

/** Where two tensors would have one name, none is changed. */
function withoutHulls<T extends Shaped>({ keys, tensors }: Dictionary<T>): Group<T> {
  const named = [...tensors].filter(([name, { shape }]) => shape.length > 0 || !counters.test(name));
  const isHull = (part: string): boolean => hulls.includes(part);
  const short = named.map(([name, t]) => {
    const parts = name.split('.').filter((part) => !isHull(part));
    return [parts.join('.'), t] as const;
  });
  const renamed = new Map(short);
  if (renamed.size < named.length) return { keys, tensors: new Map(named), hulls: [] };
  return {
    keys,
    tensors: renamed,
    hulls: [...new Set(named.flatMap(([name]) => name.split('.').filter(isHull)))],
  };
}

/**
 * A dictionary as the models that it holds under first parts of names. What has no such part belongs to the weights.
 */
function byFirstPart<T>(group: Group<T>): Group<T>[] {
  const names = [...group.tensors.keys()];
  const before = landmarks.flatMap((landmark) =>
    names.filter((name) => name.endsWith(`.${landmark}`)).map((name) => name.slice(0, -landmark.length - 1)),
  );
  const prefixes = [...new Set(before)]
    .filter((prefix) => prefix.split('.').every(isWrapper))
    .slice(0, mostPrefixes);
  const owned = new Map<string | undefined, [string, T][]>([undefined, ...prefixes].map((p) => [p, []]));
  for (const tensor of group.tensors)
    owned.get(prefixes.find((prefix) => tensor[0].startsWith(`${prefix}.`)))?.push(tensor);
  const part = (prefix?: string): Group<T> => {
    const keys = prefix === undefined ? [] : prefix.split('.');
    const from = prefix === undefined ? 0 : prefix.length + 1;
    const tensors = new Map(owned.get(prefix)?.map(([name, t]) => [name.slice(from), t]));
    return { ...group, keys: [...group.keys, ...keys], tensors };
  };
  const rest = part();
  const parts = prefixes.map((prefix) => part(prefix));
  const weights = parts.find((group) => !isAverage(group)) ?? parts[0];
  if (!weights || landmarks.some((name) => rest.tensors.has(name))) return [rest, ...parts];
  const whole = { ...weights, tensors: new Map([...rest.tensors, ...weights.tensors]) };
  return parts.map((group) => (group === weights ? whole : group));
}

/** Averages that lie beside the weights under their names without dots (LitEma), as a group of their own. */
function fromShadows<T>(group: Group<T>): Group<T>[] {
  const [own, shadows] = [new Map<string, T>(), new Map<string, T>()];
  for (const [name, t] of group.tensors) if (!/(^|\.)model_ema\./.test(name)) own.set(name, t);
  if (own.size === group.tensors.size) return [group];
  for (const name of own.keys()) {
    for (const above of ['', 'first_stage_model.']) {
      const shadow = `${above}model_ema.${name.slice(above.length).replaceAll('.', '')}`;
      const t = name.startsWith(above) ? group.tensors.get(shadow) : undefined;
      if (t) shadows.set(name, t);
    }
  }
  return [
    { ...group, tensors: own },
    { ...group, keys: [...group.keys, 'model_ema'], tensors: shadows },
  ];
}

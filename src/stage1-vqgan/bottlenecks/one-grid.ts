/** A quantiser and the care for its codebook as a bottleneck whose latent is one grid of codes. */
import { entry, only } from '../../base/lookup.js';
import type { Tensors } from '../../engine/device.js';
import { specsOf, treeOf } from '../../nn/params.js';
import { watchUsage } from '../../train/usage-watch.js';
import type { Bottleneck, Place } from '../latent.js';
import type { CodebookCare } from './codebook/rules.js';
import type { Parameters, Quantiser } from './quantiser.js';

const codebook = 'codebook';

/**
 * @param o.grid its name, where there are others
 * @param o.codes K
 * @param o.width D
 * @param o.care where there is a codebook
 * @param o.settles the first step that quantises
 * @param o.terms beside `codebook` and `commitment`, which are 0 where the kind has none
 */
export function oneGrid<P extends Parameters>(
  quantiser: Quantiser<P>,
  place: Place,
  o: {
    readonly grid?: string;
    readonly codes: number;
    readonly width: number;
    readonly care?: CodebookCare;
    readonly settles?: number;
    readonly terms?: readonly string[];
    /** What a user may do when few codes are in use. */
    readonly remedy: string;
    readonly published?: Bottleneck['published'];
    readonly importedOnly?: boolean;
  },
): Bottleneck {
  const { care, grid = 'codes', settles = 1 } = o;
  const specs = specsOf(quantiser.specs);
  const { learnsByGradient, candidates } = quantiser;
  const tree = (p: Tensors) => treeOf(quantiser.specs, p);
  return {
    latent: {
      kind: 'codes',
      grids: [{ name: grid, height: place.side, width: place.side, vocab: o.codes }],
    },
    channels: { in: o.width, out: o.width },
    learned: learnsByGradient ? specs : {},
    own: learnsByGradient ? {} : specs,
    state: care?.state ?? {},
    partial: care?.partial ?? {},
    terms: [codebook, 'commitment', ...(o.terms ?? [])],
    settles,
    watch: () => watchCodes(grid, o.remedy),
    published: o.published,
    importedOnly: o.importedOnly,
    inputs: (phase) => (phase === 'train' && care ? care.inputs : {}),
    feed: (phase, step) => (phase === 'train' && care ? { runs: care.feed(step) } : {}),
    ...(care && {
      begin(p, z, inputs) {
        const { book, active } = care.begin(entry(p, codebook), candidates(z), inputs);
        return { p: { ...p, [codebook]: book }, inputs: { ...(active && { active }) } };
      },
      after(p, z, { codes }, state, inputs) {
        const cared = care.finish(entry(p, codebook), candidates(z), only(codes), state, inputs);
        return {
          p: { ...p, [codebook]: cared.book },
          state: cared.state,
          partial: cared.partial,
          fresh: { ...(cared.fresh && { [codebook]: cared.fresh }) },
        };
      },
    }),
    pass(p, z, { active }) {
      const { codes, ...rest } = quantiser.pass(tree(p), z, active);
      return { ...rest, codes: [codes] };
    },
    encode: (p, z) => [quantiser.encode(tree(p), z)],
    decode: (p, codes) => quantiser.decode(tree(p), only(codes)),
  };
}

/** Warns once for each fall of a grid's codebook usage. */
function watchCodes(grid: string, remedy: string): ReturnType<Bottleneck['watch']> {
  const watch = watchUsage();
  return (step, values) => {
    const own = values[`codebook_usage_${grid}`]; // of one among several
    const usage = own ?? values.codebook_usage;
    if (usage === undefined) return undefined;
    const highest = watch.see(
      step,
      usage,
      own === undefined ? values.perplexity : values[`perplexity_${grid}`],
    );
    if (highest === undefined) return undefined;
    const codes = own === undefined ? 'the codes' : `the codes of grid ${grid}`;
    const before = highest > usage ? `, of up to ${percent(highest)} before` : '';
    return `At step ${step} only ${percent(usage)} of ${codes} are in use${before}. ${remedy}`;
  };
}

const percent = (share: number) => `${+(100 * share).toPrecision(2)} %`;

/** What a prior is told of a picture beside its class, as a section of the config, `prior.condition`. */
import * as z from 'zod';
import { expected } from '../base/errors.js';

export const conditionKeys = {
  /**
   * `edges`: where there are edges; `lowres`: its colours at a few places; `palette`: its most frequent colours;
   * `maps`: a map of each picture, from a folder of them.
   */
  kind: z.enum(['none', 'edges', 'lowres', 'palette', 'maps']).default('none'),
  /**
   * Rows and columns of codes that tell it, with a tokenizer of `lowres` of pixels; null: 8 of `lowres`, a quarter of
   * the picture's pixels with a tokenizer, and of the others as many as the picture has codes.
   */
  side: z.int().positive().nullable().default(null),
  /** `palette`: how many colours. */
  colours: z.int().positive().max(64).default(5),
  /**
   * What makes codes of it: null, no network: codes are what is most of a cell; of `lowres` `own`, the tokenizer of
   * the images, of pictures with so few pixels; of `maps` a run whose tokenizer was trained on maps.
   */
  tokenizer: z.string().nullable().default(null),
  /** `maps`: folders of them, of the training images and where `data.val_dir` is one, of the validation images. */
  maps: z.string().nullable().default(null),
  val_maps: z.string().nullable().default(null),
};

export const conditionSection = z.strictObject(conditionKeys);

/** Places at which `lowres` says a colour, along each side, where it is not said. */
export const lowresSide = 8;

export type ConditionConfig = z.output<typeof conditionSection>;

/** @throws UserError naming the key to change */
export function checkCondition(o: ConditionConfig, size: number): void {
  const { kind, side, maps, val_maps } = o;
  const key = (name: keyof ConditionConfig) => `prior.condition.${name}`;
  for (const [name, folder] of Object.entries({ maps, val_maps })) {
    if (folder !== null && kind !== 'maps')
      throw expected(
        'null',
        key(name as 'maps'),
        folder,
        `It is of kind maps, not ${kind}: --set ${key(name as 'maps')}=null.`,
      );
  }
  checkConditionTokenizer(o);
  if (side === null && (kind !== 'lowres' || size % lowresSide === 0)) return;
  if (kind === 'none' || kind === 'palette')
    throw expected('null', key('side'), side, `With ${key('kind')} ${kind} nothing comes of it.`);
  if (side !== null && kind === 'maps' && o.tokenizer !== null)
    throw expected('null', key('side'), side, `The tokenizer of the maps decides: ${o.tokenizer}.`);
  if (size % (side ?? lowresSide) > 0)
    throw expected(`a divisor of data.size (${size})`, key('side'), side ?? lowresSide);
}

/** The word for the tokenizer of the images. */
export const ownTokenizer = 'own';

function checkConditionTokenizer({ kind, tokenizer }: ConditionConfig): void {
  if (tokenizer === null) return;
  const key = 'prior.condition.tokenizer';
  if (kind === 'lowres' && tokenizer !== ownTokenizer)
    throw expected(`${ownTokenizer} or null`, key, tokenizer, 'Pictures of fewer pixels are pictures still.');
  if (kind === 'maps' && tokenizer === ownTokenizer)
    throw expected(
      'a run',
      key,
      tokenizer,
      'Its tokenizer was trained on maps: train-stage1 --config maps-labels.',
    );
  if (kind !== 'lowres' && kind !== 'maps')
    throw expected('null', key, tokenizer, `With prior.condition.kind ${kind} nothing comes of it.`);
}

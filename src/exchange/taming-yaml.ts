/** The YAML of a project of taming-transformers, as its main.py and its classes take it. */
import type { Config } from '../config/schema.js';
import { bottleneckOf } from '../stage1-vqgan/bottlenecks/index.js';
import type { ConditionRecord } from '../tokenize/conditions/condition.js';
import type { Kept } from './kept.js';
import type { PublishedPrior, PublishedTokenizer } from './taming-names.js';

interface Described {
  readonly kept: Kept<PublishedTokenizer>;
  /** The file of the codes that it knows, where it does not know all. */
  readonly remap?: string;
  /** Left out: none, and no tensors of one. */
  readonly loss?: object;
}

interface Model {
  readonly target: string;
  readonly params: object;
}

/** What the published data sets call such pictures. */
const keyOf = { photographs: 'image', labels: 'segmentation', depth: 'depth' };

const noLoss = { target: 'taming.modules.losses.vqperceptual.DummyLoss' };

/** The published loss, with the start of the discriminator counted from here on. */
export function loss({ stage1: { disc, perceptual, steps } }: Config, step: number): object {
  const start = disc.start === 'flat' ? 0 : disc.start < 1 ? disc.start * steps : disc.start;
  return {
    target: 'taming.modules.losses.vqperceptual.VQLPIPSWithDiscriminator',
    params: {
      disc_start: Math.max(0, Math.round(start) - step),
      disc_weight: disc.weight,
      disc_num_layers: disc.layers,
      disc_ndf: disc.ch,
      disc_loss: disc.loss,
      disc_conditional: false,
      disc_in_channels: 3,
      codebook_weight: 1.0,
      perceptual_weight: perceptual.weight,
    },
  };
}

export function tokenizerProject(config: Config, described: Described): object {
  const { lr, batch_size } = config.stage1;
  return { model: { base_learning_rate: lr / batch_size, ...tokenizerModel(config, described) } };
}

function tokenizerModel(config: Config, { kept: { published, tensors }, remap, loss }: Described): Model {
  const { data, stage1 } = config;
  const { published: name } = bottleneckOf(config);
  const labelled = 'colorize' in tensors;
  const channels = { photographs: 3, labels: data.labels.length, depth: 1 }[data.pictures];
  return {
    target: `taming.models.vqgan.${labelled && name === 'VQModel' ? 'VQSegmentationModel' : name}`,
    params: {
      ...(data.pictures !== 'photographs' && { image_key: keyOf[data.pictures] }),
      ...(labelled && { [name === 'VQModel' ? 'n_labels' : 'colorize_nlabels']: channels }),
      embed_dim: stage1.embed_dim,
      n_embed: published.embeddings,
      ...(remap && { remap }),
      ...(name === 'GumbelVQ' && { kl_weight: 1e-8, temperature_scheduler_config: constantTemperature }),
      ddconfig: {
        double_z: false,
        z_channels: stage1.z_channels,
        resolution: data.size,
        in_channels: channels,
        out_ch: channels,
        ch: stage1.ch,
        ch_mult: stage1.ch_mult,
        num_res_blocks: stage1.num_res_blocks,
        attn_resolutions: stage1.attn_resolutions,
        dropout: 0,
      },
      lossconfig: loss ?? published.loss ?? noLoss,
    },
  };
}

/** No checkpoint tells how it was annealed. */
const constantTemperature = {
  target: 'taming.lr_scheduler.LambdaWarmUpCosineScheduler',
  params: { warm_up_steps: 0, max_decay_steps: 1, lr_start: 1, lr_max: 1, lr_min: 1 },
};

/**
 * What a transformer's YAML says of its cond stage.
 *
 * @param config of its tokenizer, where that is another than the images'
 */
export function toldSection(
  { size, tokenizer }: ConditionRecord,
  config?: Config,
  described?: Described,
): object {
  const few = tokenizer?.pixels !== size && { downsample_cond_size: tokenizer?.pixels };
  if (!config || !described)
    return { cond_stage_key: keyOf.photographs, cond_stage_config: '__is_first_stage__', ...few };
  const { target, params } = tokenizerModel(config, described);
  // Else the published class lays the codes of a batch end to end, which its transformer cannot take.
  const byPicture = bottleneckOf(config).published === 'VQModel' && { sane_index_shape: true };
  return {
    cond_stage_key: keyOf[config.data.pictures],
    cond_stage_config: { target, params: { ...params, ...byPicture } },
    ...few,
  };
}

/** @param told what it says of a cond stage with a tokenizer */
export function transformerProject(
  config: Config,
  described: Described,
  published: PublishedPrior,
  told?: object,
): object {
  const { layers, heads, width, dropout, pkeep, lr, batch_size } = config.prior;
  const { vocabulary, block } = published;
  return {
    model: {
      base_learning_rate: lr / batch_size,
      target: 'taming.models.cond_transformer.Net2NetTransformer',
      params: {
        ...(told ?? beginning(published)),
        pkeep,
        transformer_config: {
          target: 'taming.modules.transformer.mingpt.GPT',
          params: {
            vocab_size: vocabulary,
            block_size: block,
            n_layer: layers,
            n_head: heads,
            n_embd: width,
            embd_pdrop: dropout,
            resid_pdrop: dropout,
          },
        },
        first_stage_config: tokenizerModel(config, { ...described, loss: undefined }),
      },
    },
  };
}

/** What it says of one without. */
function beginning({ classes, start }: PublishedPrior): object {
  if (classes === 0) {
    const none = { cond_stage_key: 'image', cond_stage_config: '__is_unconditional__' };
    return { ...none, unconditional: true, sos_token: start };
  }
  const labels = { target: 'taming.modules.util.Labelator', params: { n_classes: classes } };
  return { cond_stage_key: 'class_label', cond_stage_config: labels };
}

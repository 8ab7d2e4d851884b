/** What `vqgen evaluate` says to people: every number with its unit, and how to read it. */
import { formatDuration, formatNumber } from '../base/progress.js';
import type { EvaluateSummary } from '../evaluate/evaluate.js';
import type { Measures } from '../evaluate/features.js';

/** How a measure is read, by its name; those of a feature space or a grid by the name without it. */
const meanings: Record<string, string> = {
  accuracy: "share of images whose folder's name is the class found",
  psnr: 'dB, higher is better',
  ssim: '1 is equal (luma, Wang et al. 2004)',
  perceptual: '0 is equal',
  pattern_luma: 'dB, a grid or noise that images do not have; too much above 2',
  pattern_colour: 'dB, the same in colour; too much above 6',
  pattern_lattice: 'dB, what repeats every eight pixels or several times in them; too much above 8',
  label_accuracy: 'share of the pixels that have their label again',
  colour_shift: "of 255, how far pictures' mean colours move: nine of ten by less",
  rfd: 'reconstructions to originals, 0 is equal',
  rfid: 'reconstructions to originals, 0 is equal',
  codebook_usage: 'share of the codes in use',
  perplexity: 'codes in use, weighted by how often',
  kl: 'nats an image that the latent says of it',
  latent_bits: 'the same in bits',
  elbo: 'bits a value of the 8-bit image, an upper bound of what it costs; lower is better',
  active_units: 'numbers of the latent that differ from image to image',
  loss: 'nats per token',
  bits_per_token: '',
  bits_per_dimension: 'bits of the codes over values of the image',
  passes_of_bound:
    'the three above are of one code a pass, mean over all orders: upper bounds, as a GPT has them for its order',
  bits_masked: 'a masked code, that many percent of the codes masked (pseudo-likelihood)',
  fd: 'samples to images, 0 is equal',
  fid: 'samples to images, 0 is equal',
  class_accuracy: 'share of samples in which the classifier finds the class that was drawn',
  precision: 'share of samples that look like images',
  recall: 'share of images that samples look like',
  nearest_sample_least: 'smallest distance of two samples; much less than below: one picture again and again',
  nearest_reconstruction_least: 'the same of as many reconstructions of --data',
  nearest_train: 'distance of a sample to its nearest training image, median',
  nearest_train_reconstructions:
    'the same of reconstructions of --data: much more than above means memorised',
  nearest_train_least: 'the smallest of samples',
  nearest_train_reconstructions_least: 'the smallest of as many reconstructions',
  picture: 'samples above their nearest training images',
};

export function measuresTable(summary: EvaluateSummary): string[] {
  const { run, data, images, features, classifier, tokenizer, prior, samples, seconds } = summary;
  return [
    `${run} on ${images} images of ${data}, ${formatDuration(seconds)}`,
    `features: ${features.name}, ${features.width} numbers an image`,
    ...(classifier ? section('Classifier', classifier) : []),
    ...section('Tokenizer', tokenizer),
    ...(prior ? section('Prior', prior) : []),
    ...(samples ? section('Samples', samples) : ['No prior: likelihoods and samples are left out.']),
  ];
}

function section(title: string, measures: Measures): string[] {
  return [
    title,
    ...Object.entries(measures).map(([name, value]) => {
      const plain = name.replace(
        /_(vqgen|inception|onnx)$|(?<=^codebook_usage|^perplexity|^bits_masked)_.+/,
        '',
      );
      const meaning = meanings[name] ?? meanings[plain] ?? '';
      const shown = value === null ? 'not measured' : formatNumber(value);
      return `  ${name.padEnd(36)} ${shown.padEnd(10)} ${meaning}`.trimEnd();
    }),
  ];
}

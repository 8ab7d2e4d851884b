/** The rooms, in the order of ideas, and what their visitors are told. */

export type WorkKind = 'tokenizer' | 'tokens' | 'prior' | 'exhibit';

export interface Room {
  /** Of its run, and of its place in the page. */
  readonly name: string;
  readonly title: string;
  /** As the rooms' names in tables. */
  readonly short: string;
  readonly year: number;
  /** Who, and where it can be read. */
  readonly source: string;
  /** One of `configs/`. */
  readonly config: string;
  /** What is done for it, in turn. Without a training it shows another room's run, drawn from otherwise. */
  readonly works: readonly WorkKind[];
  /** Trainings of one network, each with a share of the time. */
  readonly shares?: Partial<Record<WorkKind, number>>;
  /** The room whose tokenizer it takes over. */
  readonly tokenizerOf?: string;
  /** The room whose run it shows. */
  readonly runOf?: string;
  /** Share of the codes drawn so far that a pass may draw again. */
  readonly revise?: number;
  /** Two or more. */
  readonly needsClasses?: boolean;
  /** What changed, and why. */
  readonly changed: string;
  /** What its pictures show. */
  readonly look: string;
}

const numbers = ['tokenizer', 'exhibit'] as const;
const codes = ['tokenizer', 'tokens', 'prior', 'exhibit'] as const;

export const catalogue: readonly Room[] = [
  {
    name: 'ae',
    title: 'The autoencoder',
    short: 'AE',
    year: 2006,
    source: 'Hinton and Salakhutdinov, Science 313',
    config: 'ae',
    works: numbers,
    changed:
      'A network must give back each picture from 64 numbers, and nothing is asked of the numbers themselves.',
    look: 'So pictures come back, but nobody knows where their numbers lie: random ones decode to nothing in particular, and only a Gaussian that was fitted to the numbers of training pictures afterwards draws things with a shape.',
  },
  {
    name: 'dae',
    title: 'The denoising autoencoder',
    short: 'Denoising AE',
    year: 2008,
    source: 'Vincent et al., ICML',
    config: 'dae',
    works: numbers,
    changed:
      'The encoder sees the picture under noise and must give back the clean one, so that copying no longer helps and it has to know what pictures look like.',
    look: 'The noise is gone in the bottom row, and with it whatever is as fine as the noise; after a short training, in which it met few shapes, so is more than that.',
  },
  {
    name: 'mae',
    title: 'The masked autoencoder',
    short: 'Masked AE',
    year: 2021,
    source: 'He et al., arXiv 2111.06377',
    config: 'mae',
    works: numbers,
    changed:
      'Three cells of five are hidden in place of noise, so that it must tell the whole from parts: the idea that MaskGIT will have of codes.',
    look: 'Nothing is left of the holes: what comes back is whole, of colours that go on from what was in sight, and softer than that; what lay in a hole as a whole is guessed or left out.',
  },
  {
    name: 'vae',
    title: 'The variational autoencoder',
    short: 'VAE',
    year: 2013,
    source: 'Kingma and Welling, arXiv 1312.6114',
    config: 'vae',
    works: numbers,
    changed:
      'The same 64 numbers get noise, and a price for every bit that they say of a picture, so that together they fill a normal distribution, from which anyone may draw.',
    look: 'Random numbers, the very ones that the autoencoder could not read, now decode to pictures, though many of them are pale and a mixture of two things: a normal distribution has no gaps between kinds.',
  },
  {
    name: 'cvae',
    title: 'The conditional VAE',
    short: 'CVAE',
    year: 2015,
    source: 'Sohn, Lee and Yan, NeurIPS',
    config: 'cvae',
    works: numbers,
    needsClasses: true,
    changed:
      'Each class has a normal distribution of its own around a mean that is learned, which puts the gaps between kinds.',
    look: 'A class can now be asked for, and each column holds one: mixtures are rare, and what is soft stays soft, as the numbers and their price are the same.',
  },
  {
    name: 'vq-vae',
    title: 'VQ-VAE with PixelCNN',
    short: 'VQ-VAE',
    year: 2017,
    source: 'van den Oord et al., arXiv 1711.00937 and 1606.05328',
    config: 'vq-vae',
    works: codes,
    changed:
      'In place of 64 numbers a picture is a grid of codes out of a learned book, and a second network, the prior, learns which codes follow which.',
    look: 'Reconstructions keep what is where, as every code describes a place, with the soft edges of squared error; samples are no longer blurred but broken, as the PixelCNN fits codes to their neighbours more than to the whole.',
  },
  {
    name: 'vq-vae-2',
    title: 'VQ-VAE-2 with two PixelCNNs',
    short: 'VQ-VAE-2',
    year: 2019,
    source: 'Razavi et al., arXiv 1906.00446',
    config: 'vq-vae-2',
    works: codes,
    changed:
      'A small grid of codes says the layout and a larger one what is missing then, each with a PixelCNN, so that the whole is decided before its parts.',
    look: 'At this size and in this time, look whether the second grid pays: it costs bits, of which the table has the number, and on the pictures that come with vqgen its samples break as those of the room before.',
  },
  {
    name: 'vqgan',
    title: 'VQGAN with GPT',
    short: 'VQGAN + GPT',
    year: 2020,
    source: 'Esser et al., arXiv 2012.09841',
    config: 'vqgan',
    works: codes,
    changed:
      'As in the first rooms and unlike the VQ-VAEs’, reconstructions are also judged by a network that sees shapes, and a transformer draws the codes one after another with all of them before it in sight (the discriminator that gave it its name is off in this config: in minutes it costs more than it brings).',
    look: 'Samples hang together over the whole picture where those of the PixelCNNs come in scraps; its steps are dear, and where the clock ends them early, reconstructions lack edges and small things, such as eyes.',
  },
  {
    name: 'maskgit',
    title: 'MaskGIT',
    short: 'MaskGIT',
    year: 2022,
    source: 'Chang et al., arXiv 2202.04200',
    config: 'maskgit',
    works: ['prior', 'exhibit'],
    shares: { prior: 2 },
    tokenizerOf: 'vqgan',
    changed:
      'The codes are the VQGAN’s, but a transformer that sees in both directions fills masked ones in, all of a picture in eight passes where the GPT takes a step for each code.',
    look: 'It is the masked autoencoder again, of codes: parts that were drawn in the same pass did not see each other, so look for things that are there twice or do not meet.',
  },
  {
    name: 'maskgit-revised',
    title: 'MaskGIT that revises',
    short: 'MaskGIT, revising',
    year: 2022,
    source: 'After Lezama et al., arXiv 2209.04439, and CMLMC, ICLR',
    config: 'maskgit',
    works: ['exhibit'],
    runOf: 'maskgit',
    revise: 0.3,
    changed:
      'The same network, which has also seen wrong codes in its training, may draw again in each pass what it no longer believes, in as many passes as before.',
    look: 'The slider lays its samples over those of the room before, of the same random numbers: they begin alike, and colours and parts turn out otherwise; the table says whether doubt has paid.',
  },
];

/** @param classes of the pictures */
export function roomsFor(classes: number): { rooms: readonly Room[]; closed: readonly Room[] } {
  const open = (room: Room): boolean => !room.needsClasses || classes >= 2;
  return { rooms: catalogue.filter(open), closed: catalogue.filter((room) => !open(room)) };
}

/** Else its reconstructions are another room's. */
export const hasOwnTokenizer = ({ works }: Room): boolean => works.includes('tokenizer');

export interface Work {
  readonly room: Room;
  readonly kind: WorkKind;
  /** `vq-vae/prior` */
  readonly name: string;
}

/** All that is to do, in turn. */
export const worksOf = (rooms: readonly Room[]): readonly Work[] =>
  rooms.flatMap((room) => room.works.map((kind) => ({ room, kind, name: `${room.name}/${kind}` })));

/** Shares of the time that a work has; none where it takes as long as it takes. */
export const sharesOf = ({ room, kind }: Work): number =>
  kind === 'tokenizer' || kind === 'prior' ? (room.shares?.[kind] ?? 1) : 0;

/** Letters for captions in grids, drawn without a font of the system's: ASCII, 5 × 8 pixels. */

/** Five columns of each character from the space to the tilde; bit 0 is the topmost pixel. */
const columns =
  '000000000000005f00000007000700147f147f14242a7f2a12231308646236495620500005030000001c2241000041221c00' +
  '14083e081408083e080800a06000000808080808006060000020100804023e5149453e00427f400042615149462141454b31' +
  '1814127f1027454545393c4a49493001710905033649494936064949291e0036360000005636000008142241001414141414' +
  '00412214080201510906324979413e7e1111117e7f494949363e414141227f4141221c7f494949417f090909013e4149497a' +
  '7f0808087f00417f41002040413f017f081422417f404040407f020c027f7f0408107f3e4141413e7f090909063e4151215e' +
  '7f09192946464949493101017f01013f4040403f1f2040201f3f4038403f631408146307087008076151494543007f414100' +
  '02040810200041417f0004020102044040404040000102040020545454787f484444383844444420384444487f3854545418' +
  '087e09010218a4a49c787f0804047800447d40004080847d007f1028440000417f40007c041804787c080404783844444438' +
  'fc1824241818242418fc7c080404084854545420043f4440203c4040207c1c2040201c3c4030403c44281028441ca0a0a07c' +
  '4464544c44000836410000007f000000413608001008081008';

const glyphs = Uint8Array.from({ length: columns.length / 2 }, (_, i) =>
  Number.parseInt(columns.slice(2 * i, 2 * i + 2), 16),
);

export const letterHeight = 8;
const letterWidth = 5;
/** From one letter's left to the next one's. */
const advance = letterWidth + 1;

/** Letters that fit side by side into so many pixels. */
export const lettersIn = (width: number): number => Math.floor((width + advance - letterWidth) / advance);

/** Width in pixels. */
export const widthOf = (text: string): number => text.length * advance - (advance - letterWidth);

/** The text in these letters: accents are left out. Undefined where it has others, of another script for example. */
export function inLetters(text: string): string | undefined {
  const plain = text
    .normalize('NFD')
    .replace(/\p{Mn}/gu, '')
    .replaceAll('ß', 'ss');
  return /^[ -~]+$/.test(plain) ? plain : undefined;
}

/** Calls `dot` for each black pixel of a text of these letters, its upper left at (0, 0). */
export function drawLetters(text: string, dot: (x: number, y: number) => void): void {
  for (let i = 0; i < text.length; i++) {
    for (let x = 0; x < letterWidth; x++) {
      const column = glyphs[(text.charCodeAt(i) - 32) * letterWidth + x]!;
      for (let y = 0; y < letterHeight; y++) if ((column >> y) & 1) dot(i * advance + x, y);
    }
  }
}

/**
 * How scripts beside exported ONNX files fill a canvas in passes, in JavaScript and in Python, as the run's config
 * says.
 */
import { must } from '../../base/lookup.js';
import { cellsIn } from '../../stage1-vqgan/grids.js';
import { unknown } from '../../stage2-transformer/canvas.js';
import type { InPasses } from '../../stage2-transformer/prior.js';
import { type DrawnAs, vocabulariesDiffer } from './drawn-as.js';
import { guidance, type InBoth, ofPasses } from './guidance-script.js';

/** The share of cells that stay unknown when the share `done` of the passes is over (`maskedShare`). */
const stillUnknown: Record<InPasses['schedule'], InBoth> = {
  cosine: { js: 'Math.cos(done * Math.PI / 2)', python: 'np.cos(done * np.pi / 2)' },
  linear: { js: '(1 - done)', python: '(1 - done)' },
  square: { js: '(1 - done * done)', python: '(1 - done * done)' },
  arccos: { js: 'Math.acos(done) / (Math.PI / 2)', python: 'np.arccos(done) / (np.pi / 2)' },
};

/** Of lines those that are there. */
const lines = (...all: (string | false)[]): string => all.filter((line) => line !== false).join('\n');

/**
 * @param asked of `drawn`
 * @returns statements that leave the code of every cell in `codes`, of as many arrays as pictures; they need `n`,
 *   `temperature`,
 *   `steps`, `grids`, `draw`, `int64` and `prior`
 */
export function passesScript({ schedule }: InPasses, drawn: DrawnAs): string {
  const { grids, codes, classes, cfgScale, growth } = drawn;
  const { order, choiceTemperature, revise } = must(drawn.passes, 'passes');
  const cells = cellsIn(grids);
  const guided = cfgScale !== 1;
  const batch = guided ? '2 * n' : 'n';
  const free = guided ? `.concat(codes.map(() => ${unknown}))` : ''; // the same pictures without their classes
  const few = vocabulariesDiffer(drawn);
  const far = order === 'halton';
  const score = far
    ? '-orders[i].indexOf(cell)'
    : `share(logits(i, cell), code) + ${choiceTemperature} * (1 - done) * gumbel()`;
  return lines(
    `const codes = Array.from({ length: n }, () => new Array(${cells}).fill(${unknown})); // ${unknown}: unknown`,
    classes > 0 && `const labels = int64(codes.map((_, i) => i % ${classes})${free}, [${batch}]);`,
    few &&
      'const vocabulary = grids.flatMap(({ height, width, vocab }) => new Array(height * width).fill(vocab));',
    'const cells = [...codes[0].keys()];',
    far && haltonJs,
    (!far || revise > 0) && shareJs,
    !far && 'const gumbel = () => -Math.log(-Math.log(Math.random()));',
    `
for (let step = 1; step <= steps; step++) {
  const done = step / steps;
  const canvas = ${guided ? '[...codes, ...codes]' : 'codes'}.flat();
  const { logits: all } = await prior.run({ codes: int64(canvas, [${batch}, ${cells}])${classes > 0 ? ', labels' : ''} });
  const row = (i, cell) => all.data.subarray((i * ${cells} + cell) * ${codes}, (i * ${cells} + cell + 1) * ${codes});
  const logits = ${guided ? guidedJs(guidance(growth, cfgScale, ofPasses).js) : 'row'};
  for (const [i, picture] of codes.entries()) {
    const unknown = cells.filter((cell) => picture[cell] < 0);`,
    revise > 0 && '    const known = cells.filter((cell) => picture[cell] >= 0);',
    `    const drawn = unknown.map((cell) => {
      const code = draw(logits(i, cell)${few ? '.subarray(0, vocabulary[cell])' : ''});
      return { cell, code, score: ${score} };
    });
    drawn.sort((a, b) => b.score - a.score); // ${far ? 'those that come first, whatever is drawn' : 'the surest first'}
    const wanted = Math.max(1, Math.floor(${cells} * ${stillUnknown[schedule].js}));
    const left = step < steps ? Math.max(0, Math.min(unknown.length - 1, wanted)) : 0;
    for (const { cell, code } of drawn.slice(0, unknown.length - left)) picture[cell] = code;`,
    revise > 0 && reviseJs(revise),
    `  }
}`,
  );
}

const shareJs = `
/** The logarithm of the share that a code has of a row of logits. */
function share(logits, code) {
  const highest = Math.max(...logits);
  const sum = logits.reduce((sum, logit) => sum + Math.exp((logit - highest) / temperature), 0);
  return (logits[code] - highest) / temperature - Math.log(sum);
}`;

const guidedJs = (scale: string): string => `(i, cell) => {
    const scale = ${scale};
    const free = row(n + i, cell); // without a class
    return row(i, cell).map((x, k) => free[k] + scale * (x - free[k]));
  }`;

const reviseJs = (
  revise: number,
): string => `    const belief = new Map(known.map((cell) => [cell, share(logits(i, cell), picture[cell])]));
    known.sort((a, b) => belief.get(a) - belief.get(b)); // the least believed, which are drawn again, first
    for (const cell of known.slice(0, Math.round(${revise} * (1 - done) * known.length))) picture[cell] = ${unknown};`;

const haltonJs = `
/**
 * Cells of a grid so that each is far from those before it: Halton's points, rows from base 2, columns from base 3.
 */
function farApart({ height, width }) {
  const digits = (k, base) => {
    let [value, whole] = [0, 1];
    for (; k > 0; k = Math.floor(k / base), whole *= base) value = value * base + (k % base);
    return value / whole;
  };
  const order = new Set();
  for (let k = 1; k <= 3 * height * width; k++)
    order.add(Math.floor(digits(k, 2) * height) * width + Math.floor(digits(k, 3) * width));
  for (let cell = 0; cell < height * width; cell++) order.add(cell);
  return [...order];
}
const far = [];
for (const grid of grids) {
  const before = far.length;
  far.push(...farApart(grid).map((cell) => before + cell));
}
/** Of each picture all cells in that order, begun anywhere. */
const orders = codes.map(() => {
  const start = Math.floor(Math.random() * far.length);
  return [...far.slice(start), ...far.slice(0, start)];
});`;

/**
 * @param asked of `drawn`
 * @returns statements that leave the codes in `codes` [n, T]; they need `n`, `temperature`, `top_k`, `top_p`, `steps`
 *   and `prior`
 */
export function passesPython({ schedule }: InPasses, drawn: DrawnAs): string {
  const { grids, codes, classes, cfgScale, growth } = drawn;
  const { order, choiceTemperature, revise } = must(drawn.passes, 'passes');
  const cells = cellsIn(grids);
  const guided = cfgScale !== 1;
  const first = `np.arange(n) % ${classes}`;
  const vocabularies = grids.map(({ vocab }) => vocab).join(', ');
  const areas = grids.map(({ height, width }) => height * width).join(', ');
  const far = order === 'halton';
  const ranked = far ? 'those that come first, whatever is drawn' : 'the surest first';
  const score = far
    ? '-place'
    : `np.log(of(p, drawn)) + ${choiceTemperature} * (1 - done) * np.random.gumbel(size=drawn.shape)`;
  const { python: scale } = guidance(growth, cfgScale, ofPasses);
  return lines(
    `codes = np.full((n, ${cells}), ${unknown}, np.int64)  # unknown`,
    classes > 0 &&
      (guided
        ? `labels = np.append(${first}, np.full(n, ${unknown}))  # with a class, and without`
        : `labels = ${first}`),
    far && haltonPython(drawn),
    'of = lambda rows, columns: np.take_along_axis(rows, columns[..., None], 2)[..., 0]  # an entry of each row',
    `for step in range(1, steps + 1):
    done, known = step / steps, codes >= 0
    logits, = prior.run(['logits'], {'codes': ${guided ? 'np.tile(codes, (2, 1))' : 'codes'}${classes > 0 ? ", 'labels': labels" : ''}})`,
    guided && `    logits = logits[n:] + (${scale}) * (logits[:n] - logits[n:])  # guidance`,
    `    p = np.exp((logits - logits.max(2, keepdims=True)) / temperature, dtype=float)
    p /= p.sum(2, keepdims=True)`,
    vocabulariesDiffer(drawn) &&
      `    p *= np.arange(${codes}) < np.repeat([${vocabularies}], [${areas}])[:, None]  # each grid's own codes`,
    `    order = np.argsort(-p)[..., :top_k or None]  # the likeliest first
    q = np.take_along_axis(p, order, 2)
    sums = (q * (q.cumsum(2) - q < top_p * q.sum(2, keepdims=True))).cumsum(2)
    drawn = of(order, (sums <= np.random.rand(n, ${cells}, 1) * sums[..., -1:]).sum(2))
    score = np.where(known, np.inf, ${score})  # ${ranked}
    wanted = max(1, int(${cells} * ${stillUnknown[schedule].python}))
    left = max(0, min((~known[0]).sum() - 1, wanted)) if step < steps else 0`,
    revise > 0 && '    belief = np.where(known, of(p, np.maximum(codes, 0)), np.inf)',
    `    codes = np.where(known, codes, drawn)
    np.put_along_axis(codes, np.argsort(score)[:, :left], ${unknown}, 1)`,
    revise > 0 &&
      `    again = int(${revise} * (1 - done) * known[0].sum() + 0.5)  # of the least believed, which are drawn again
    np.put_along_axis(codes, np.argsort(belief)[:, :again], ${unknown}, 1)`,
  );
}

/** `place` [n, T], where each cell stands in each picture's order. */
function haltonPython({ grids }: DrawnAs): string {
  const sizes = grids.map(({ height, width }) => `(${height}, ${width})`).join(', ');
  return `def digits(k, base):
    value, whole = 0, 1
    while k: value, whole, k = value * base + k % base, whole * base, k // base
    return value / whole
def far_apart(height, width):  # Halton's points: each cell is far from those before it
    points = [int(digits(k, 2) * height) * width + int(digits(k, 3) * width) for k in range(1, 3 * height * width + 1)]
    return list(dict.fromkeys(points + list(range(height * width))))
far = []
for height, width in [${sizes}]: far += [len(far) + cell for cell in far_apart(height, width)]
place = (np.argsort(far) - np.random.randint(len(far), size=(n, 1))) % len(far)  # begun anywhere`;
}

/**
 * The ten motifs of the built-in data set, as SVG on a 100 × 100 canvas. Few, large, flat shapes: each has to be
 * recognised at 32 pixels. `scene` stands still behind; `figure` is what the pose (drawn.ts) moves.
 */
import type { Rng } from '../base/rng.js';
import {
  between,
  circle,
  dots,
  ellipse,
  gradient,
  line,
  mirror,
  path,
  pick,
  polygon,
  rect,
  stripes,
} from './svg.js';

export interface Drawing {
  readonly scene: string;
  readonly figure: string;
  /** Factor on the pose's rotation: what stands on the ground hardly tilts. */
  readonly tilt: number;
}

const ink = '#2b2440';
const white = '#fffaf0';

const curls = [
  [22, 40],
  [36, 23],
  [50, 17],
  [64, 23],
  [78, 40],
] as const;

export const motifs: Record<string, (rng: Rng) => Drawing> = {
  boat(rng) {
    const hull = pick(rng, ['#c8412f', '#7a3e2a', '#2d4a8a', '#e8b02e']);
    const [main, jib] = pick(rng, [
      [white, '#f4c95d'],
      [white, '#ef6f61'],
      ['#f7b538', white],
      ['#ef5b5b', white],
    ] as const);
    const sea = pick(rng, ['#1f78b4', '#178f9c', '#2a5fa5']);
    return {
      scene: `${sky(rng)}${circle(pick(rng, [18, 82]), 18, 9, pick(rng, ['#fff1a8', '#ffd23f']))}${rect(0, 70, 100, 30, sea)}${wave(78)}${wave(90)}`,
      figure: [
        line('M51 12 L51 66', '#5b3a29', 3.5),
        polygon('48,12 48,62 16,62', main),
        polygon('55,20 55,62 82,62', jib),
        path('M14 66 L86 66 Q80 84 68 84 L32 84 Q19 84 14 66 Z', hull),
        path('M14 66 L86 66 L84 71 L16 71 Z', white),
      ].join(''),
      tilt: 0.8,
    };
  },

  butterfly(rng) {
    const [upper, lower, spot] = pick(rng, [
      ['#f58220', '#fbb040', '#fff3c4'],
      ['#3b7dd8', '#7cc4f0', '#fff3c4'],
      ['#9b4dca', '#e07be0', '#ffe9a8'],
      ['#e0315b', '#f78fa7', '#fff3c4'],
      ['#f2c230', '#f08a24', '#7a2e2e'],
    ] as const);
    const wings = [
      path('M50 50 C38 8 4 6 6 32 C7 52 34 58 50 52 Z', upper),
      path('M50 52 C30 52 14 62 20 80 C27 98 48 82 50 56 Z', lower),
      circle(24, 33, 7.5, spot),
      circle(33, 72, 5.5, spot),
    ].join('');
    return {
      scene: plain(rng, ['#b9e59a', '#a9dcf3', '#fbdc9f', '#d8c3f2']),
      figure: [
        wings,
        mirror(wings),
        line('M49 30 Q42 16 36 13', ink, 2.6),
        line('M51 30 Q58 16 64 13', ink, 2.6),
        ellipse(50, 54, 4.6, 27, ink),
        circle(50, 28, 5.4, ink),
      ].join(''),
      tilt: 1.6,
    };
  },

  car(rng) {
    const body = pick(rng, ['#e5383b', '#f4a51c', '#2f80ed', '#27a567', '#f7f3e8', '#8e44ad']);
    return {
      scene: `${sky(rng)}${hill(rng, 62)}${rect(0, 74, 100, 26, pick(rng, ['#5c6070', '#6e6475']))}${line('M4 88 H28 M42 88 H66 M80 88 H100', '#f4e3b2', 3.5)}`,
      figure: [
        path('M24 50 L34 29 Q36 26 40 26 L62 26 Q66 26 69 29 L82 50 Z', body),
        polygon('33,48 39.5,33 50,33 50,48', '#d3f0fb'),
        polygon('55,48 55,33 63,33 73,48', '#d3f0fb'),
        path('M8 56 Q8 48 18 48 L82 48 Q93 50 93 60 L93 70 Q93 74 89 74 L12 74 Q8 74 8 70 Z', body),
        rect(8, 62, 85, 4.5, 'rgba(0,0,0,0.18)'),
        circle(89.5, 57, 4, '#ffe27a'),
        ...[28, 73].map((x) => circle(x, 74, 11.5, '#22222e') + circle(x, 74, 5, '#d9dce3')),
      ].join(''),
      tilt: 0.4,
    };
  },

  cat(rng) {
    const [fur, dark] = pick(rng, [
      ['#f0973a', '#c96a1a'],
      ['#8d93a1', '#5d6270'],
      ['#3c3848', '#221f2c'],
      ['#f3d7a6', '#c2935a'],
      ['#9c6b45', '#6d4526'],
    ] as const);
    const eye = pick(rng, ['#b8e04a', '#ffd84a', '#7fd6f2']);
    const ear = polygon('18,50 17,12 46,29', fur) + polygon('23,36 23,21 36,28.5', '#f7a8ae');
    const eyeAndWhiskers = [
      ellipse(34, 50, 8, 8.5, eye),
      ellipse(34, 50, 3, 7.5, ink),
      line('M22 66 L5 62 M22 71 L6 74', white, 2.2),
    ].join('');
    return {
      scene: plain(rng, ['#8fd0ee', '#f5a99a', '#a9dc8e', '#c3a8ec', '#f7d56e']),
      figure: [
        ellipse(50, 104, 34, 24, fur),
        ear,
        mirror(ear),
        ellipse(50, 57, 36, 31, fur),
        line('M50 28 V38 M41 30 V37 M59 30 V37', dark, 4),
        eyeAndWhiskers,
        mirror(eyeAndWhiskers),
        ellipse(50, 70, 15, 10, '#fff4e6'),
        polygon('44.5,62 55.5,62 50,69', '#ee6f7c'),
        line('M50 69 Q46 77 40 74 M50 69 Q54 77 60 74', ink, 2.4),
      ].join(''),
      tilt: 1,
    };
  },

  face(rng) {
    const [skin, blush] = pick(rng, [
      ['#fbd3b0', '#f59a8b'],
      ['#f0b98d', '#e5836b'],
      ['#c98654', '#b5583f'],
      ['#8f5a37', '#8a3f33'],
    ] as const);
    const hair = pick(rng, ['#3a2519', '#7b4420', '#e8b23a', '#c4501b', '#1f1b2b']);
    const shirt = pick(rng, ['#e5484d', '#2f80ed', '#2fa36b', '#f2b630', '#8b5cf6']);
    const style = pick(rng, ['short', 'long', 'curly'] as const);
    const behind = {
      short: ellipse(50, 40, 33, 31, hair),
      long: path('M15 88 Q12 8 50 8 Q88 8 85 88 Z', hair),
      curly: curls.map(([x, y]) => circle(x, y, 14, hair)).join(''),
    }[style];
    return {
      scene: plain(rng, ['#93d3ea', '#fad27d', '#f6a8b4', '#abdda0', '#c0b2f0']),
      figure: [
        behind,
        ellipse(50, 106, 42, 22, shirt),
        rect(42, 76, 16, 14, skin),
        ellipse(50, 52, 28, 31, skin),
        path('M22 50 Q20 20 50 20 Q80 20 78 50 Q70 34 56 33 Q40 41 22 50 Z', hair),
        ...[37.5, 62.5].map((x) => ellipse(x, 53, 4.2, 5.2, ink) + circle(x + 1.4, 51, 1.5, white)),
        ...[30.5, 69.5].map((x) => circle(x, 63, 5, blush)),
        pick(rng, [
          path('M36 65 Q50 68 64 65 Q61 81 50 81 Q39 81 36 65 Z', '#a8283a') +
            path('M38.5 66 Q50 68 61.5 66 L60 71 Q50 73 40 71 Z', white),
          line('M37 67 Q50 79 63 67', '#a8283a', 4),
        ]),
      ].join(''),
      tilt: 1,
    };
  },

  fish(rng) {
    const [body, fin, stripe] = pick(rng, [
      ['#ff7f24', '#d9480f', white],
      ['#ffd23f', '#f08a24', '#2d4a8a'],
      ['#f2557a', '#b5214f', '#ffd9a0'],
      ['#ff6b57', '#c2293a', '#ffe08a'],
      ['#c77dff', '#7b2cbf', '#ffe08a'],
    ] as const);
    const [surface, depth] = pick(rng, [
      ['#7fd8ee', '#1b6fb0'],
      ['#8be3d5', '#127c86'],
      ['#86b8f5', '#2b479e'],
    ] as const);
    return {
      scene: `${gradient(surface, depth)}${path('M0 92 Q25 84 50 91 T100 90 V100 H0 Z', '#efd79a')}${line('M88 96 Q80 84 88 74 Q94 66 88 58', '#2f9e5f', 4.5)}`,
      figure: [
        path('M66 50 L94 26 Q87 50 94 74 Z', fin),
        path('M34 34 Q48 10 64 33 Z', fin),
        path('M40 68 Q50 86 58 66 Z', fin),
        ellipse(42, 50, 34, 22, body),
        path('M40 28.2 Q48 50 40 71.8 L49 71.4 Q57 50 49 28.6 Z', stripe),
        circle(22, 45, 6.6, white),
        circle(21, 45, 3.5, ink),
        line('M10 57 Q15 61 20 58', fin, 2.6),
        circle(8, 26, 3.6, 'rgba(255,255,255,0.75)'),
        circle(15, 14, 2.6, 'rgba(255,255,255,0.75)'),
      ].join(''),
      tilt: 1.3,
    };
  },

  flower(rng) {
    const [petal, heart] = pick(rng, [
      ['#ef476f', '#ffd166'],
      ['#ffd23f', '#8a4b1f'],
      ['#fff8ee', '#ffc53a'],
      ['#9b5de5', '#ffe066'],
      ['#ff8c42', '#7a3b1e'],
      ['#f78fb3', '#fff0b3'],
    ] as const);
    const petals = pick(rng, [6, 7, 8]);
    const around = Array.from({ length: petals }, (_, i) => {
      const turn = (360 * i) / petals;
      return `<ellipse cx="50" cy="18" rx="${petals > 6 ? 10.5 : 12.5}" ry="17" fill="${petal}" transform="rotate(${turn.toFixed(1)} 50 39)"/>`;
    });
    return {
      scene: `${sky(rng)}${hill(rng, 80)}`,
      figure: [
        line('M50 40 Q53 70 50 104', '#2f8f4e', 5),
        path('M50 84 Q28 82 20 62 Q44 62 50 84 Z', '#3aa65a'),
        path('M51 78 Q72 76 80 58 Q58 56 51 78 Z', '#2f8f4e'),
        ...around,
        circle(50, 39, 12.5, heart),
      ].join(''),
      tilt: 1,
    };
  },

  house(rng) {
    const [wall, roof, door] = pick(rng, [
      ['#fbe8c6', '#c8412f', '#7a4a2a'],
      ['#f6c667', '#8a3b2a', '#2f6f6b'],
      ['#f3f1ea', '#2f5d8a', '#c8412f'],
      ['#f4a9a0', '#6b3a5b', '#fff4e0'],
      ['#a8d8c9', '#d9622b', '#5b3a29'],
    ] as const);
    const window = (x: number): string => rect(x, 55, 15, 15, '#5b4636') + rect(x + 2, 57, 11, 11, '#ffe27a');
    return {
      scene: `${sky(rng)}${hill(rng, 74)}`,
      figure: [
        rect(66, 14, 10, 24, '#8a5a44'),
        rect(18, 44, 64, 47, wall),
        polygon('50,7 93,48 7,48', roof),
        window(24),
        window(61),
        rect(43, 63, 14, 28, door),
        circle(53.5, 77, 1.7, '#ffd23f'),
      ].join(''),
      tilt: 0.3,
    };
  },

  mushroom(rng) {
    const cap = pick(rng, ['#dc2f33', '#e8622a', '#a9472f', '#c2377f', '#e5a823']);
    return {
      scene: `${sky(rng)}${hill(rng, 78)}`,
      figure: [
        path('M38 50 Q42 76 33 92 Q50 98 67 92 Q58 76 62 50 Z', '#fbeed5'),
        path('M56 54 Q57 78 62 93.5 L67 92 Q58 76 62 54 Z', '#e3cda5'),
        path('M8 54 Q10 10 50 10 Q90 10 92 54 Q72 62 50 62 Q28 62 8 54 Z', cap),
        path('M8 54 Q28 62 50 62 Q72 62 92 54 Q74 54 50 55 Q26 54 8 54 Z', 'rgba(60,20,20,0.28)'),
        circle(50, 28, 8.5, white),
        circle(27, 41, 6.5, white),
        circle(73, 41, 6.5, white),
        circle(50, 49, 4.2, white),
        line('M24 96 L20 84 M30 97 L30 82 M74 97 L72 83 M80 96 L85 85', '#2f8f3e', 3.6),
      ].join(''),
      tilt: 0.7,
    };
  },

  tree(rng) {
    const [leaf, light, fruit] = pick(rng, [
      ['#2f8f4e', '#49b265', '#e5383b'],
      ['#3f9142', '#6cbf4b', '#f7d046'],
      ['#e07a1f', '#f4a63a', '#c2412d'],
      ['#ef8fb0', '#f9bfd2', '#fff4f8'],
    ] as const);
    const fruits = [
      [34, 34],
      [62, 24],
      [70, 46],
      [47, 46],
    ] as const;
    return {
      scene: `${sky(rng)}${hill(rng, 80)}`,
      figure: [
        path('M43 54 Q45 78 37 93 L63 93 Q55 78 57 54 Z', '#7a4a2a'),
        circle(28, 44, 20, leaf),
        circle(72, 44, 20, leaf),
        circle(50, 29, 25, leaf),
        circle(50, 48, 20, leaf),
        circle(42, 24, 14, light),
        circle(25, 39, 9, light),
        ...fruits.map(([x, y]) => circle(x, y, 4.4, fruit)),
      ].join(''),
      tilt: 0.5,
    };
  },
};

function sky(rng: Rng): string {
  const [top, bottom] = pick(rng, [
    ['#58b4ee', '#d3effb'],
    ['#7cc7f2', '#fff1d0'],
    ['#f78f6b', '#ffe0a3'],
    ['#b39ae6', '#fbd3dc'],
    ['#7fd1c4', '#eefad8'],
  ] as const);
  return gradient(top, bottom);
}

/** Ground from about `y` down to the lower edge. */
function hill(rng: Rng, y: number): string {
  const swell = between(rng, -6, 6);
  const color = pick(rng, ['#6cbf4b', '#8fca5a', '#4fa85b', '#e6c77a']);
  return path(`M0 ${y} Q25 ${(y - swell).toFixed(1)} 50 ${y} T100 ${y} V100 H0 Z`, color);
}

function wave(y: number): string {
  return line(`M-4 ${y} q7 -5 14 0 t14 0 t14 0 t14 0 t14 0 t14 0 t14 0 t14 0`, 'rgba(255,255,255,0.45)', 2.6);
}

/** One quiet colour, plain or with a pattern of a lighter one. */
function plain(rng: Rng, colors: readonly string[]): string {
  const color = pick(rng, colors);
  return rect(0, 0, 100, 100, color) + pick(rng, ['', dots, stripes]);
}

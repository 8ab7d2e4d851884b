import { validationPlan } from '../../src/stage1-vqgan/validation.js';

test.each([
  [1, 32, { batch: 1, images: 1 }],
  [20, 32, { batch: 20, images: 20 }],
  [100, 32, { batch: 32, images: 96 }],
  [5000, 32, { batch: 32, images: 256 }],
  [5000, 256, { batch: 2, images: 256 }],
])('%i images of %i pixels are validated in whole batches', (count, size, plan) => {
  expect(validationPlan(count, size, { batch_size: 32, accumulate: 1 })).toEqual(plan);
});

test.each([
  [20, 4, { batch: 4, images: 20 }],
  [100, 2, { batch: 8, images: 96 }],
  [100, 1, { batch: 16, images: 96 }],
  [31, 4, { batch: 1, images: 31 }],
])(
  '%i images with 16 in %i micro-batches: the same images, no batch larger than these',
  (count, accumulate, plan) => {
    expect(validationPlan(count, 32, { batch_size: 16, accumulate })).toEqual(plan);
  },
);

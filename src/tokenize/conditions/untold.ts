import type { Grid } from '../../stage1-vqgan/latent.js';

/** The code that says that nothing is told: the last one of a condition's grid. */
export const untold = ({ vocab }: Pick<Grid, 'vocab'>): number => vocab - 1;

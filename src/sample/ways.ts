/** From one point of a latent space to another: `t` 0 at the first, 1 at the second. Pure. */
type Way = (a: Float32Array, b: Float32Array, t: number) => Float32Array;

export const straight: Way = (a, b, t) => a.map((value, i) => (1 - t) * value + t * b[i]!);

/**
 * Along the great circle between both directions, lengths in proportion (Shoemake, 1985): what lies half way between
 * two draws of N(0, I) is as long as they are, where it is shorter on a straight line. Points in one direction are
 * joined straight.
 */
export const arc: Way = (a, b, t) => {
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, i) => sum + value * y[i]!, 0);
  const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine)));
  if (!(Math.sin(angle) > 1e-6)) return straight(a, b, t);
  const [from, to] = [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)];
  return a.map((value, i) => from * value + to * b[i]!);
};

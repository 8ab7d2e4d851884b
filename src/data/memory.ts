/** What pictures may take of memory while they are read: bytes of their files, and of their pixels. */

export interface Budget {
  /** Does the work when so much is free; what is larger than all of it is done alone. */
  hold<T>(amount: number, work: () => Promise<T>): Promise<T>;
}

/** Works are begun in the order in which they ask. */
export function budget(total: number): Budget {
  let used = 0;
  const waiting: { amount: number; begin: () => void }[] = [];
  const next = (): void => {
    for (let first = waiting[0]; first && used + first.amount <= total; first = waiting[0]) {
      waiting.shift();
      used += first.amount;
      first.begin();
    }
  };
  return {
    async hold(wanted, work) {
      const amount = Math.min(wanted, total);
      await new Promise<void>((begin) => {
        waiting.push({ amount, begin });
        next();
      });
      try {
        return await work();
      } finally {
        used -= amount;
        next();
      }
    },
  };
}

/** What is opened one after another for something that keeps it all open. */

export interface Disposable {
  dispose(): Promise<void>;
}

/**
 * @param open is given what notes a thing that it opened, and hands it back
 * @returns what `open` made, and what disposes of all that was noted, the last first; where `open` fails, it is
 */
export async function opened<T>(
  open: (note: <D extends Disposable>(thing: D) => D) => Promise<T>,
): Promise<T & Disposable> {
  const things: Disposable[] = [];
  const dispose = async (): Promise<void> => {
    for (let thing = things.pop(); thing; thing = things.pop()) await thing.dispose();
  };
  try {
    const made = await open((thing) => {
      things.push(thing);
      return thing;
    });
    return { ...made, dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

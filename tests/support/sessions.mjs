import { createHash } from 'node:crypto';

/** Sessions that nobody uses, kept for whoever opens the same model next: each holds its arena. */
const KEPT = 16;

/**
 * Makes ONNX Runtime open a model once per test file, however many tests open it: half of the sessions of the whole
 * suite are of a model that was open before, and a session takes longer to optimise than a tiny model to run. Models in
 * files, those with weights in files, those that are profiled and those on a GPU are opened as asked.
 *
 * @returns what ends all kept sessions
 */
export function shareSessions(ort) {
  const { create } = ort.InferenceSession;
  const shared = new Map();

  const end = async (key) => {
    const { handler } = await shared.get(key).opened;
    shared.delete(key);
    await handler.dispose();
  };

  ort.InferenceSession.create = async (model, options) => {
    const { model_external_initializers_file_folder_path: folder } = options.extra?.session ?? {};
    const alone = typeof model === 'string' || folder || options.enableProfiling;
    if (alone || `${options.executionProviders ?? 'cpu'}` !== 'cpu')
      return create.call(ort.InferenceSession, model, options);
    const key = createHash('sha1').update(model).update(JSON.stringify(options)).digest('hex');
    const entry = shared.get(key) ?? { users: 0, opened: create.call(ort.InferenceSession, model, options) };
    entry.opened.catch(() => shared.delete(key));
    shared.delete(key);
    shared.set(key, entry); // the latest is the last
    entry.users += 1;
    const { handler } = await entry.opened;
    return new ort.InferenceSession(
      new Shared(handler, async () => {
        entry.users -= 1;
        const idle = [...shared.keys()].filter((other) => shared.get(other).users === 0);
        for (const oldest of idle.slice(0, -KEPT)) await end(oldest);
      }),
    );
  };

  return async () => {
    ort.InferenceSession.create = create;
    for (const key of [...shared.keys()]) await end(key);
  };
}

/** A session in the hands of one user. */
class Shared {
  constructor(handler, leave) {
    const { inputNames, outputNames, inputMetadata, outputMetadata } = handler;
    Object.assign(this, { handler, leave, inputNames, outputNames, inputMetadata, outputMetadata });
  }

  startProfiling() {}

  endProfiling() {}

  async run(...args) {
    if (!this.handler) throw new Error('Session already disposed.');
    return this.handler.run(...args);
  }

  async dispose() {
    if (!this.handler) throw new Error('Session already disposed.');
    this.handler = undefined;
    await this.leave();
  }
}

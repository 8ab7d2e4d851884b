// node --import ./scripts/watch-sessions.mjs PROGRAM: the folder $VQGEN_WATCH gets what $VQGEN_WATCH_FOR names of ONNX
// Runtime's sessions: their `graphs` as they are optimised (graph-N.onnx), a `profile` of their operators, or the
// `codes` that they are given, an array for each run.
import fs from 'node:fs';
import path from 'node:path';
import { ort } from '../dist/engine/runtime.js';

const { VQGEN_WATCH: folder, VQGEN_WATCH_FOR: wanted } = process.env;
const file = (name) => path.join(folder, name);
const create = ort.InferenceSession.create.bind(ort.InferenceSession);
const codes = [];
let sessions = 0;

const options = {
  graphs: (number) => ({ optimizedModelFilePath: file(`graph-${number}.onnx`) }),
  profile: (number) => ({ enableProfiling: true, profileFilePrefix: file(`profile-${number}`) }),
  codes: () => ({}),
}[wanted];

ort.InferenceSession.create = async (model, given) => {
  const session = await create(model, { ...given, ...options(++sessions) });
  const run = session.run.bind(session);
  session.run = (feeds, ...others) => {
    const fed = Object.entries(feeds).find(([name]) => /\bcodes$/.test(name))?.[1];
    if (wanted === 'codes' && fed) {
      codes.push([...fed.data]);
      fs.writeFileSync(file('codes.json'), JSON.stringify(codes));
    }
    return run(feeds, ...others);
  };
  return session;
};

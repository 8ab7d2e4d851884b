// One parser against many cases. What counts as a fault: any error but a UserError of a readable length, more than two
// seconds of a core, more than 500 MB beside what the process held before the first case.
import fs from 'node:fs';
import fc from 'fast-check';
import { casesFor } from './cases.mjs';

export const limits = { seconds: 2, megabytes: 500, characters: 6000 };

/**
 * @param parser an entry of `parsers.mjs`. @param o.load imports a module of vqgen by its path in `src`
 * @param o.folder for the files; `current` in it is what is being read
 * @param o.planted turns a sentence that the parser owes its user into another error, as if its check were forgotten
 * @param o.beat called now and then. @param o.most seconds of a core for a case
 * @returns how often each outcome was seen, and the fault with the bytes that show it, if one was found
 */
export async function tryParser(
  parser,
  { load, folder, runs, seed, planted = false, beat = () => {}, most = limits.seconds },
) {
  const ready = await parser.prepare(load, folder);
  const file = `${folder}/current`;
  const outcomes = new Map();
  let [cases, longest] = [0, 0];
  const heldBefore = process.memoryUsage.rss();
  const check = async (bytes) => {
    fs.writeFileSync(file, bytes);
    cases++;
    if (cases % 50 === 0) await beat(cases);
    const began = process.cpuUsage();
    let outcome = 'read';
    try {
      const value = await ready.parse(file, bytes);
      if (value === refused) outcome = 'refused';
    } catch (error) {
      if (error?.name !== 'UserError') throw error;
      if (planted && parser.forgotten.test(error.message))
        throw new TypeError(`planted in place of: ${error.message.slice(0, 120)}`);
      if (error.message.length > limits.characters || /\n\s+at /.test(error.message))
        throw new Error(`a sentence of ${error.message.length} characters`);
      outcome = kindOf(error.message, file);
    }
    if (planted && outcome === 'refused' && parser.forgotten.test(bytes.toString('latin1')))
      throw new TypeError('planted in place of a refusal');
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    const { user, system } = process.cpuUsage(began);
    const seconds = (user + system) / 1e6;
    longest = Math.max(longest, seconds);
    if (seconds > most) throw new Error(`${seconds.toFixed(1)} seconds`);
    const megabytes = (process.memoryUsage.rss() - heldBefore) / 1e6;
    if (megabytes > limits.megabytes) throw new Error(`${megabytes.toFixed(0)} MB`);
  };
  const property = fc.asyncProperty(casesFor(ready), check);
  const result = await fc.check(property, { numRuns: runs, seed, endOnFailure: planted });
  await ready.dispose?.();
  const fault = result.failed && {
    error: result.errorInstance,
    after: result.numRuns,
    path: result.counterexamplePath,
    bytes: result.counterexample[0],
  };
  return { cases, outcomes, seconds: longest, fault };
}

/** What a parser gives that refuses without a sentence. */
export const refused = Symbol('refused');

/** A sentence without what is special to the case: two of a kind are the same check. */
const kindOf = (message, file) =>
  message
    .replaceAll(file, 'FILE')
    .replace(/ but received .*/s, (rest) => rest.replace(/\d+/g, 'N').slice(0, 40))
    .replace(/\d+/g, 'N')
    .slice(0, 120);

/** What a run's prior was begun with: it knows the codes of that and of nothing else. */
import path from 'node:path';
import { writeFileAtomic } from '../../base/files.js';
import { damagedNote, readNote } from '../../checkpoint/prior-notes.js';
import { runPaths } from '../../checkpoint/run.js';
import { type ConditionRecord, recordSchema } from './condition.js';

const conditionFile = (run: string): string => path.join(runPaths(run).prior, 'condition.json');

/** Notes beside the prior what it is told of pictures beside their classes, if anything. */
export async function recordCondition(run: string, told?: ConditionRecord): Promise<void> {
  await writeFileAtomic(conditionFile(run), `${JSON.stringify(told ?? null)}\n`);
}

/** That, or nothing where it is told nothing. @throws UserError when the file that holds it is damaged */
export function priorCondition(run: string): ConditionRecord | undefined {
  const file = conditionFile(run);
  const told = readNote(file, run) ?? undefined;
  if (told === undefined) return undefined;
  const { data } = recordSchema.safeParse(told);
  if (data) return data;
  throw damagedNote(file, run);
}

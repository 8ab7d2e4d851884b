/** Where a stage's checkpoints lie: `<stage>/step-00000500/{model,optimizer}.safetensors` and `state.json`. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import path from 'node:path';
import { stepName } from './run.js';

export interface Checkpoint {
  readonly step: number;
  /** The step folder. */
  readonly path: string;
}

export const modelFile = (folder: string): string => path.join(folder, 'model.safetensors');
export const optimizerFile = (folder: string): string => path.join(folder, 'optimizer.safetensors');
export const stateFile = (folder: string): string => path.join(folder, 'state.json');

/** All step folders, also those that lack a file, oldest first. */
export function stepFolders(stageFolder: string): Checkpoint[] {
  if (!isFolder(stageFolder)) return [];
  return readdirSync(stageFolder)
    .filter((name) => /^step-\d{8,}$/.test(name))
    .map((name) => ({ step: Number(name.slice('step-'.length)), path: path.join(stageFolder, name) }))
    .filter(({ step, path: folder }) => path.basename(folder) === stepName(step) && isFolder(folder))
    .sort((a, b) => a.step - b.step);
}

const isFolder = (place: string): boolean => existsSync(place) && statSync(place).isDirectory();

/** All that have their three files, oldest first. */
export const listCheckpoints = (stageFolder: string): Checkpoint[] =>
  stepFolders(stageFolder).filter(({ path: folder }) =>
    [modelFile(folder), optimizerFile(folder), stateFile(folder)].every((file) => existsSync(file)),
  );

export const latestCheckpoint = (stageFolder: string): Checkpoint | undefined =>
  listCheckpoints(stageFolder).at(-1);

/** Whether the stage was trained: it has checkpoints, damaged ones among them. */
export const hasCheckpoint = (stageFolder: string): boolean => stepFolders(stageFolder).length > 0;

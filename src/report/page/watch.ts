/** Keeps the page of `vqgen watch` up to date: asks every few seconds, and fetches only what has changed. */
import type { Look, StageCharts } from '../charts.js';

const every = 2000;

const byId = (id: string): HTMLElement | null => document.getElementById(id);

let before = '';
let versions: Partial<Look['versions']> = {};
let samples = '';
let grids: readonly number[] = [];
/** Whether the newest grid is shown, as it is until another is chosen. */
let newest = true;

async function update(): Promise<void> {
  const text = await (await fetch('state', { cache: 'no-cache' })).text();
  if (text === before) return;
  const look = JSON.parse(text) as Look;
  document.title = look.title;
  const state = byId('state');
  if (state && state.innerHTML !== look.state) state.innerHTML = look.state;
  for (const [stage, version] of Object.entries(look.versions)) {
    if (versions[stage as keyof Look['versions']] !== version) await updateStage(stage);
  }
  versions = look.versions;
  if (look.samples !== samples) showSamples(look.samples);
  if (look.grids.join() !== grids.join()) {
    grids = look.grids;
    showGrid();
  }
  before = text;
}

async function updateStage(name: string): Promise<void> {
  const { facts, charts } = (await (await fetch(`stage?name=${name}`)).json()) as {
    facts: string;
    charts: StageCharts;
  };
  const place = document.querySelector(`.stage[data-stage="${name}"] .facts`);
  if (place) {
    const open = place.querySelector('details')?.open;
    place.innerHTML = facts;
    const details = place.querySelector('details');
    if (details && open) details.open = true;
  }
  document.dispatchEvent(new CustomEvent('vqgen:curves', { detail: charts }));
}

function showSamples(tag: string): void {
  samples = tag;
  const section = byId('samples');
  const image = section?.querySelector('img');
  if (!section || !image) return;
  section.hidden = tag === '';
  if (tag !== '') image.src = `samples?${tag}`;
}

const section = byId('reconstructions');
const slider = section?.querySelector('input');

function showGrid(): void {
  const image = section?.querySelector('img');
  const output = section?.querySelector('output');
  if (!section || !slider || !image || !output) return;
  section.hidden = grids.length === 0;
  slider.max = `${Math.max(0, grids.length - 1)}`;
  slider.hidden = grids.length < 2;
  if (newest) slider.value = slider.max;
  const step = grids[Number(slider.value)];
  if (step === undefined) return;
  output.textContent = step.toLocaleString('en');
  image.src = `grid?step=${step}`;
}

slider?.addEventListener('input', () => {
  newest = slider.value === slider.max;
  showGrid();
});

async function keepUp(): Promise<void> {
  let wait = every;
  if (!document.hidden) {
    const ended = byId('ended');
    const answered = await update().then(
      () => true,
      () => false,
    );
    if (ended) ended.hidden = answered;
    if (!answered) wait = 5 * every;
  }
  setTimeout(keepUp, wait);
}

document.addEventListener('visibilitychange', () => {
  if (!document.hidden) void update().catch(() => {});
});
void keepUp();

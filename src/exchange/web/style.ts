/** How the page looks: light and dark as the reader's system is, from 320 pixels of width on. */
export const style = `:root {
  color-scheme: light dark;
  --paper: light-dark(#fcfcfa, #16181b);
  --ink: light-dark(#1c1d1f, #e6e6e3);
  --faint: light-dark(#5f6368, #a0a4a8);
  --line: light-dark(#dcdcd6, #34383d);
  --panel: light-dark(#f3f3ee, #1f2226);
  --accent: light-dark(#0b62a4, #6db7f2);
  --on-accent: light-dark(#fff, #10202c);
}
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body {
  margin: 0 auto; padding: 1rem clamp(0.75rem, 3vw, 2rem) 6rem; max-width: 64rem;
  background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: 1rem 0 0.25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 0.5rem; padding-top: 0.75rem; border-top: 1px solid var(--line); }
p { max-width: 44rem; margin: 0.5rem 0; }
.faint { color: var(--faint); font-size: 0.875rem; }
code, pre { font: 0.875rem/1.45 ui-monospace, monospace; }
pre { padding: 0.75rem; background: var(--panel); border-radius: 4px; overflow-x: auto; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
form, .fields { display: flex; flex-wrap: wrap; gap: 0.75rem 1rem; align-items: end; margin: 0.75rem 0; }
label { display: flex; flex-direction: column; gap: 0.15rem; font-size: 0.875rem; color: var(--faint); }
label.inline { flex-direction: row; align-items: center; gap: 0.5rem; }
input, select, button { font: inherit; color: var(--ink); min-height: 2.25rem; max-width: 100%; }
input[type=number] { width: 6.5rem; }
input[type=number], select {
  padding: 0.25rem 0.5rem; background: var(--paper); border: 1px solid var(--faint); border-radius: 4px;
}
input[type=file] { padding: 0.35rem 0; }
input[type=range] { width: min(20rem, 100%); accent-color: var(--accent); }
button {
  padding: 0.25rem 0.9rem; background: var(--panel); border: 1px solid var(--faint); border-radius: 4px; cursor: pointer;
}
button.main { background: var(--accent); border-color: var(--accent); color: var(--on-accent); font-weight: 600; }
button:disabled { opacity: 0.55; cursor: default; }
details { flex-basis: 100%; }
summary { cursor: pointer; color: var(--faint); font-size: 0.875rem; }
fieldset { border: 1px solid var(--line); border-radius: 4px; margin: 0 0 0.75rem; padding: 0.5rem 0.9rem 0.75rem; min-width: 0; }
legend { padding: 0 0.35rem; font-weight: 600; font-size: 0.9rem; }
canvas { display: block; image-rendering: pixelated; background: var(--panel); }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 1rem; margin: 1rem 0; }
figure { margin: 0; }
figure canvas { width: 100%; height: auto; aspect-ratio: 1; }
figcaption { color: var(--faint); font-size: 0.875rem; margin: 0.15rem 0; overflow-wrap: anywhere; }
figure button { min-height: 2rem; padding: 0.1rem 0.6rem; margin: 0 0.35rem 0.35rem 0; font-size: 0.875rem; }
.bench { display: flex; flex-wrap: wrap; gap: 1rem 1.5rem; align-items: start; }
.bench > div { flex: 1 1 16rem; min-width: 0; }
#bench, #walked { width: min(100%, 24rem); height: auto; aspect-ratio: 1; }
#bench.paints { cursor: crosshair; touch-action: none; }
.ends { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(16rem, 100%), 1fr)); gap: 0 1rem; }
.job {
  position: fixed; inset: auto 0 0; display: flex; flex-wrap: wrap; gap: 0.25rem 1rem; align-items: center; min-height: 3.25rem;
  padding: 0.5rem clamp(0.75rem, 3vw, 2rem); background: var(--panel); border-top: 1px solid var(--line);
}
.job progress { width: min(16rem, 40%); accent-color: var(--accent); }
`;

/** How a report looks, beside what all documents have. */
export const reportStyle = `
nav ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; }
section { scroll-margin-top: 0.5rem; }
.side { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); gap: 0.5rem 2rem; }
.side > * { min-width: 0; }
.missing { color: var(--faint); border-left: 3px solid var(--line); padding-left: 0.75rem; overflow-wrap: anywhere; }
caption { text-align: left; color: var(--faint); font-size: 0.875rem; padding-bottom: 0.25rem; }
tbody th { font-weight: normal; }
td .text { display: block; text-align: left; overflow-wrap: anywhere; }
.bar { display: inline-block; height: 0.7em; background: var(--accent); border-radius: 2px; }
td:has(.bar) { text-align: left; }
code, figcaption { overflow-wrap: anywhere; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: 0.75rem; }
.pictures.small { grid-template-columns: repeat(auto-fill, minmax(5.5rem, 1fr)); gap: 0.5rem; }
.pictures figure { margin: 0; min-width: 0; }
.pictures img { display: block; width: 100%; }
.pictures.small img + img { margin-top: 2px; opacity: 0.85; }
.pictures figcaption { line-height: 1.25; padding-top: 0.15rem; }
.name { display: block; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.pair { position: relative; }
.pair .over { position: absolute; inset: 0; height: 100%; clip-path: inset(0 calc(100% - var(--share, 50%)) 0 0); }
.pair::after { content: ""; position: absolute; inset: 0 auto 0 var(--share, 50%); width: 2px; margin-left: -1px; background: var(--accent); }
input[type=range] { width: 100%; margin: 0.25rem 0 0; accent-color: var(--accent); }
.scroll { max-height: 26rem; overflow: auto; border: 1px solid var(--line); padding: 0.5rem; }
.codes { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 0.5rem 0.75rem; font-size: 0.75rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.codes i { display: inline-block; image-rendering: pixelated; vertical-align: top; }
.codes i + i { margin-left: 4px; }
.codes small { font-size: inherit; }
.codes b { display: block; font-weight: normal; }
.codes .unused i { opacity: 0.45; }
.heats { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, max(12rem, calc(var(--columns) * 1.5rem))), 1fr)); gap: 1rem 1.5rem; align-items: end; margin: 0.5rem 0; }
.heats figure { margin: 0; }
.heats img { display: block; margin-bottom: 0.5rem; }
.heat { container-type: inline-size; }
.heat, .heats img { width: min(100%, calc(var(--columns) * 2.2rem)); }
.heat table { border-collapse: separate; border-spacing: 1px; table-layout: fixed; width: 100%; }
.heat td { padding: 0; border: 0; text-align: center; vertical-align: middle; overflow: hidden; height: calc(100cqw / var(--columns) - 1px); line-height: 1; font-size: clamp(0.25rem, calc(36cqw / var(--columns)), 0.75rem); background: color-mix(in oklab, light-dark(#5f9cc9, #2a639a) var(--heat), var(--paper)); }
.film img { width: min(30%, 12rem); margin-right: 0.5rem; }
.film .controls { display: flex; gap: 0.75rem; align-items: center; max-width: 30rem; }
.film button { min-width: 6rem; padding: 0.35rem 0.75rem; font: inherit; }
`;

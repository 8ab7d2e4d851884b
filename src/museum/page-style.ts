/** What the museum's page has beside the style of all documents. */
export const museumStyle = `
.lead { font-size: 1.1rem; }
.timeline { display: flex; flex-wrap: wrap; gap: 0.25rem 0; margin: 1.25rem 0; padding: 0; list-style: none; }
.timeline li {
  flex: 1 0 5.75rem; padding: 0.5rem 0.5rem 0 0; border-top: 3px solid var(--accent); font-size: 0.875rem;
  line-height: 1.3;
}
.timeline b { display: block; font-variant-numeric: tabular-nums; }
th { font-weight: 600; }
td.number, th.number { white-space: nowrap; }
tbody th { font-weight: 400; white-space: nowrap; }
.hall { display: grid; grid-template-columns: 8rem minmax(0, 42.25rem); gap: 0.25rem 1rem; align-items: center; }
.hall span { font-size: 0.875rem; }
.hall img { display: block; width: 100%; }
.hall .given { padding-bottom: 0.375rem; }
.room > .facts { display: flex; flex-wrap: wrap; gap: 0.25rem 1.5rem; margin: 0.75rem 0; padding: 0; }
.facts div { display: flex; gap: 0.375rem; }
.facts dt { color: var(--faint); }
.facts dd { margin: 0; font-variant-numeric: tabular-nums; }
figure img { display: block; }
figure img + img { margin-top: 0.25rem; }
.pair { position: relative; width: fit-content; max-width: 100%; }
.pair .over {
  position: absolute; inset: 0; margin: 0; width: 100%; height: 100%;
  clip-path: inset(0 calc(100% - var(--share, 50%)) 0 0);
}
.pair::after {
  content: ''; position: absolute; top: 0; bottom: 0; left: var(--share, 50%); border-left: 2px solid var(--accent);
}
.compare input { display: block; width: 100%; max-width: 63.375rem; margin: 0.25rem 0 0; accent-color: var(--accent); }
figcaption { max-width: 44rem; margin-top: 0.25rem; }
@media (max-width: 40rem) {
  .hall { grid-template-columns: minmax(0, 1fr); gap: 0; }
  .hall span { margin-top: 0.375rem; }
  .wide td { white-space: nowrap; }
}
`;

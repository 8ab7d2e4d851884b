import fs from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { documentOf, html } from '../../src/report/document.js';
import { describeInBrowser } from '../support/browser.js';
import { freshFolder, removeFolders } from '../support/folder.js';

afterAll(removeFolders);

test('what is put into HTML is escaped once', () => {
  const inner = html`<b>${'a & "b" <c>'}</b>`;
  expect(html`${inner}${[html`<i>`, '<i>', 3]}`.html).toBe(
    '<b>a &#38; &#34;b&#34; &#60;c&#62;</b><i>&#60;i&#62;3',
  );
});

describeInBrowser('a document', (open) => {
  test('runs its scripts on its data, and asks for nothing', async () => {
    const file = path.join(await freshFolder(), 'page.html');
    await fs.writeFile(
      file,
      documentOf({
        title: 'A </title> page',
        body: html`<main><h1>One</h1><img src="https://example.org/a.png" alt=""></main>`,
        styles: ['h1 { color: rgb(1, 2, 3); }'],
        scripts: ["document.title = JSON.parse(document.getElementById('d').textContent).text; '</script>';"],
        data: { d: { text: '</script><!-- it' } },
      }),
    );
    const { page, complaints, requests } = await open(pathToFileURL(file).href, { dark: true });
    expect(await page.title()).toBe('</script><!-- it');
    const colour = (what: string) =>
      page.evaluate(`getComputedStyle(document.querySelector('${what}')).color`);
    expect([await colour('h1'), await colour('body')]).toEqual(['rgb(1, 2, 3)', 'rgb(230, 230, 227)']);
    // The one picture from outside, and the policy that held it back.
    expect(requests.filter((url) => url.startsWith('http'))).toEqual([]);
    expect(complaints).toEqual([expect.stringMatching(/Content Security Policy/)]);
  });
});

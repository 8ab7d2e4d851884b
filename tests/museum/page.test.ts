import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { catalogue } from '../../src/museum/rooms.js';
import { describeInBrowser } from '../support/browser.js';
import { freshFolder, removeFolders } from '../support/folder.js';
import { playMuseum } from '../support/museum.js';

afterAll(removeFolders);

const built = async (classes?: readonly string[]): Promise<string> => {
  const { summary } = await playMuseum(path.join(await freshFolder(), 'm'), { budget: 600, classes });
  return pathToFileURL(summary.page).href;
};

describeInBrowser('the page of a museum', (open) => {
  test('shows every room, names every picture and slider, and asks for nothing', async () => {
    const { page, complaints, requests } = await open(await built());
    expect(await page.title()).toBe('A museum of image tokenizers');
    expect(await page.locator('h1').count()).toBe(1);
    for (const { name, title, year } of catalogue) {
      expect(await page.locator(`section#${name} h2`).textContent()).toBe(`${title}, ${year}`);
    }
    const pictures = page.locator('img');
    // Rows of 8 tokenizers, of 10 rooms' samples and of the originals; 8 sliders over reconstructions, one over samples.
    const alone = { between: 3, restored: 2 * 3, normal: 1, samples: 9 };
    const rest = Object.values(alone).reduce((a, b) => a + b);
    expect(await pictures.count()).toBe(8 + 10 + 1 + 2 * 9 + rest);
    const bad = `[...document.images].filter((i) => !(i.naturalWidth > 0 && i.alt)).length`;
    expect(await page.evaluate(bad)).toBe(0);
    const slider = page.getByRole('slider', { name: 'How much of the reconstructions by VQ-VAE is shown' });
    await slider.fill('20');
    const share = `document.querySelector('#vq-vae .compare').style.getPropertyValue('--share')`;
    expect(await page.evaluate(share)).toBe('20%');
    expect(await page.getByRole('slider').count()).toBe(9);
    for (const text of ['cat & <dog>', '≤ 200 of 576', '13.3 dB', 'vqgen museum --budget 10m']) {
      expect(await page.locator('body').textContent()).toContain(text);
    }
    expect([...complaints, ...requests.filter((url) => !url.startsWith('file:'))]).toEqual([]);
  });

  test('fits a phone, and says why a room is closed', async () => {
    const { page, complaints } = await open(await built([]), { width: 380, dark: true });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(380);
    expect(await page.locator('section#cvae').textContent()).toContain('This room is closed');
    expect(await page.getByRole('link', { name: 'CVAE' }).count()).toBe(0);
    expect(complaints).toEqual([]);
  });
});

/** A headless Chromium for tests of pages; what it says and asks for is kept. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { type Browser, chromium, type Page, type Request } from 'playwright-core';

const names = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome'];

const found = [
  ...(process.env.CHROMIUM ? [process.env.CHROMIUM] : []),
  ...(process.env.PATH ?? '')
    .split(path.delimiter)
    .flatMap((folder) => names.map((name) => path.join(folder, name))),
].find((file) => existsSync(file));

export interface Seen {
  readonly page: Page;
  /** Errors and warnings of the console, and what no one caught. */
  readonly complaints: string[];
  /** Addresses that were asked for, without those of data: and blob:, and those that the page's policy held back. */
  readonly requests: string[];
}

/** `describe`, in which `open` gives pages of one browser; skipped, with a word, where there is no Chromium. */
export function describeInBrowser(name: string, tests: (open: OpenPage) => void): void {
  if (!found) {
    describe.skip(`${name} (no Chromium here: apt-get install chromium)`, () =>
      tests(() => Promise.reject()));
    return;
  }
  describe(name, () => {
    let browser: Browser;
    beforeAll(async () => {
      browser = await chromium.launch({ executablePath: found, args: ['--no-sandbox'] });
    });
    afterAll(() => browser?.close());
    tests(async (url, { width = 1100, height = 800, dark = false } = {}) => {
      const page = await browser.newPage({
        viewport: { width, height },
        colorScheme: dark ? 'dark' : 'light',
      });
      const [complaints, requests]: [string[], string[]] = [[], []];
      page.on('console', (message) => {
        if (['error', 'warning'].includes(message.type())) complaints.push(message.text());
      });
      page.on('pageerror', (error) => complaints.push(`${error}`));
      const asked = (request: Request): void => {
        if (!/^(data|blob):/.test(request.url())) requests.push(request.url());
      };
      page.on('requestfinished', asked);
      page.on('requestfailed', (request) => {
        if (request.failure()?.errorText !== 'csp') asked(request);
      });
      await page.goto(url);
      return { page, complaints, requests };
    });
  });
}

/** @param url where the page is, file: or http: */
export type OpenPage = (
  url: string,
  view?: { readonly width?: number; readonly height?: number; readonly dark?: boolean },
) => Promise<Seen>;

/**
 * Waits until an expression of the page is true. `waitForFunction` has the page evaluate it, which a page's policy may
 * forbid.
 */
export async function until(page: Page, expression: string): Promise<void> {
  while (!(await page.evaluate(expression))) await page.waitForTimeout(20);
}

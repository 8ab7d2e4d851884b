import { serve } from '../../src/report/server.js';
import { got } from '../support/http.js';

const servers: { close(): Promise<void> }[] = [];
afterAll(async () => {
  for (const server of servers) await server.close();
});

async function served() {
  const asked: string[] = [];
  const server = await serve({
    port: 0,
    answer: async ({ pathname }) => {
      asked.push(pathname);
      if (pathname === '/broken') throw new Error('secret');
      return pathname === '/a' ? { type: 'text/plain', body: 'It is A.', tag: 'one' } : undefined;
    },
  });
  servers.push(server);
  return { ...server, asked };
}

test('what is asked for is given, and not again to whom has it', async () => {
  const { address } = await served();
  expect(address).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
  const first = await got(address, '/a?b=c');
  expect(first).toMatchObject({ status: 200, body: 'It is A.', headers: { etag: '"one"' } });
  expect(first.headers).toMatchObject({
    'content-security-policy': "frame-ancestors 'none'",
    'cross-origin-resource-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
  });
  const again = await got(address, '/a', { headers: { 'If-None-Match': '"one"' } });
  expect(again).toMatchObject({ status: 304, body: '' });
  expect(await got(address, '/a', { method: 'HEAD' })).toMatchObject({ status: 200, body: '' });
  expect((await got(address, '/b')).status).toBe(404);
});

test.each(['evil.example', '10.0.0.1:80', '127.0.0.1.evil.example', 'localhost.evil.example:1'])(
  'a page of %s, whose name was made to lead here, gets nothing',
  async (host) => {
    const { address, asked } = await served();
    expect((await got(address, '/a', { headers: { Host: host } })).status).toBe(421);
    expect(asked).toEqual([]);
  },
);

test('names of this machine are taken, with any port: a tunnel may have another', async () => {
  const { address } = await served();
  for (const host of ['localhost:9', '[::1]:7', '127.0.0.1']) {
    expect((await got(address, '/a', { headers: { Host: host } })).status).toBe(200);
  }
});

test('nothing can be sent, and errors say nothing', async () => {
  const { address, asked } = await served();
  expect((await got(address, '/a', { method: 'POST' })).status).toBe(405);
  expect(asked).toEqual([]);
  const broken = await got(address, '/broken');
  expect([broken.status, broken.body.includes('secret')]).toEqual([500, false]);
});

test('a port that is taken is a sentence', async () => {
  const { address } = await served();
  const port = Number(new URL(address).port);
  await expect(serve({ port, answer: async () => undefined })).rejects.toThrow(
    `Expected a free port for --port but received ${port}, which another program has. Name another, or leave it out: then it is a free one.`,
  );
});

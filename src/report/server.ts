/** A server for a browser on this machine: nothing of another one reaches it, nor a page of another origin. */
// The one file that opens a socket: `vqgen watch` does, no other command.
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { expected } from '../base/errors.js';

export interface Answer {
  /** `text/html` */
  readonly type: string;
  readonly body: string | Uint8Array;
  /** By which a browser that has the body already does not get it again. */
  readonly tag?: string;
}

export interface Server {
  /** `http://127.0.0.1:4321/` */
  readonly address: string;
  close(): Promise<void>;
}

const loopback = '127.0.0.1';
/** Names of this machine for itself. Another one in its place would be a page elsewhere that made its name lead here. */
const ownNames = new Set([loopback, 'localhost', '[::1]']);

/**
 * @param o.port 0: a free one
 * @param o.answer what is asked for, or undefined where there is no such thing
 * @throws UserError where the port cannot be had
 */
export async function serve(o: {
  readonly port: number;
  answer(asked: URL): Promise<Answer | undefined>;
}): Promise<Server> {
  const server = http.createServer((request, response) => {
    void respond(request, o.answer)
      .catch((): Reply => ({ status: 500, headers: {}, body: 'It cannot be read just now.\n' }))
      .then(({ status, headers, body }) => {
        response.writeHead(status, { ...guarded, ...headers });
        response.end(request.method === 'HEAD' ? undefined : body);
      });
  });
  server.maxConnections = 64;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => reject(refused(error, o.port)));
    server.listen(o.port, loopback, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    address: `http://${loopback}:${port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function refused(error: Error, port: number): Error {
  const why: Record<string, string> = {
    EADDRINUSE: 'which another program has',
    EACCES: 'which the system keeps for itself',
  };
  const received = why[(error as NodeJS.ErrnoException).code ?? ''];
  const next = 'Name another, or leave it out: then it is a free one.';
  return received ? expected('a free port', '--port', `${port}, ${received}`, next, error) : error;
}

interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
}

/** No page elsewhere may show or read what is served, and no browser guesses what it is. */
const guarded = {
  'Content-Security-Policy': "frame-ancestors 'none'",
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cache-Control': 'no-cache',
};

const plain = (status: number, body: string, headers = {}): Reply => ({
  status,
  headers: { 'Content-Type': 'text/plain; charset=utf-8', ...headers },
  body: `${body}\n`,
});

async function respond(
  { method = '', url = '', headers }: http.IncomingMessage,
  answer: (asked: URL) => Promise<Answer | undefined>,
): Promise<Reply> {
  const name = (headers.host ?? '').replace(/:\d*$/, '');
  if (!ownNames.has(name)) return plain(421, `This is for ${loopback} alone.`);
  if (method !== 'GET' && method !== 'HEAD')
    return plain(405, 'It can only be looked at.', { Allow: 'GET, HEAD' });
  const asked = URL.canParse(url, `http://${loopback}`) ? new URL(url, `http://${loopback}`) : undefined;
  const found = asked && (await answer(asked));
  if (!found) return plain(404, 'There is no such thing here.');
  const tag: Record<string, string> = found.tag === undefined ? {} : { ETag: `"${found.tag}"` };
  if (tag.ETag !== undefined && headers['if-none-match'] === tag.ETag)
    return { status: 304, headers: tag, body: '' };
  return { status: 200, headers: { ...tag, 'Content-Type': found.type }, body: found.body };
}

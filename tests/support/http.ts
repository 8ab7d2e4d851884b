import http from 'node:http';

export interface Got {
  readonly status?: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

/** A request by a connection of its own, which ends with it: those of `fetch` outlive a test, and connect again. */
export const got = (address: string, path = '/', o: http.RequestOptions = {}): Promise<Got> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(address);
    const request = http.request({ hostname, port, path, agent: false, ...o }, async (response) => {
      let body = '';
      for await (const piece of response) body += piece;
      resolve({ status: response.statusCode, headers: response.headers, body });
    });
    request.on('error', reject).end();
  });

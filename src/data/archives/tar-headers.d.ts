/** The part of tar-stream that reads headers: its streams would read all that lies between them. */
declare module 'tar-stream/headers.js' {
  export interface TarHeader {
    readonly name: string;
    readonly size: number;
    readonly type: string | null;
  }
  interface Headers {
    /** @returns null for a block of zeros. @throws Error for a block that is no header */
    decode(block: Buffer, encoding: string, allowUnknownFormat: boolean): TarHeader | null;
    decodeLongPath(data: Buffer, encoding: string): string;
    decodePax(data: Buffer): Record<string, string>;
  }
  const headers: Headers;
  export default headers;
}

/**
 * TensorBoard's event files: records of an `Event` each (event.proto and summary.proto of TensorFlow; field numbers
 * declared here, bytes by protobufjs). A record is its length (uint64, little-endian), that number's checksum, the
 * message and its checksum, and is written in one piece: readers open the file while it grows.
 */
import { constants } from 'node:fs';
import fs from 'node:fs/promises';
import path from 'node:path';
import protobuf from 'protobufjs';

const field = (type: string, id: number) => ({ type, id });
const repeated = (type: string, id: number) => ({ rule: 'repeated', type, id });

const schema = protobuf.Root.fromJSON({
  nested: {
    Event: {
      fields: {
        wallTime: field('double', 1),
        step: field('int64', 2),
        fileVersion: field('string', 3),
        summary: field('Summary', 5),
        sessionLog: field('SessionLog', 7),
      },
    },
    SessionLog: { fields: { status: field('int32', 1) } },
    Summary: { fields: { value: repeated('Value', 1) } },
    Value: {
      oneofs: { value: { oneof: ['simpleValue', 'image'] } }, // where 0 is written, too
      fields: { tag: field('string', 1), simpleValue: field('float', 2), image: field('Image', 4) },
    },
    Image: {
      fields: {
        height: field('int32', 1),
        width: field('int32', 2),
        colorspace: field('int32', 3),
        encodedImageString: field('bytes', 4),
      },
    },
  },
});
const Event = schema.lookupType('Event');

const VERSION = 'brain.Event:2';
/** Of a session log. */
const START = 1;
/** Of an image. */
const RGB = 3;

/** What is seen at a step. */
export interface Seen {
  readonly step: number;
  readonly scalars: Readonly<Record<string, number>>;
  /** PNG files by their tags. */
  readonly pictures?: Readonly<Record<string, Buffer>>;
  /** Seconds since 1970. */
  readonly time: number;
}

export interface EventFile {
  append(seen: Seen): Promise<void>;
  /**
   * Empties those that were there before it, when it says all that they said, and removes those that are empty: a
   * reader that has one open comes to the next only while it is there.
   */
  emptyOthers(): Promise<void>;
  close(): Promise<void>;
}

const { O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY } = constants;

/** By the second in which it began, so that names sort as files follow each other. */
const ownName = /^events\.out\.tfevents\.(\d{10,12})\.vqgen$/;

/**
 * A new file in `folder`. It begins by saying that what a reader knows by then no longer counts; the reader comes to it
 * after those that are there, whatever the clock says.
 */
export async function openEventFile(folder: string): Promise<EventFile> {
  await fs.mkdir(folder, { recursive: true });
  const others = (await fs.readdir(folder)).filter((name) => ownName.test(name));
  const newest = Math.max(0, ...others.map((name) => Number(ownName.exec(name)?.[1])));
  const seconds = Math.max(Math.floor(now()), newest + 1);
  const file = path.join(folder, `events.out.tfevents.${seconds}.vqgen`);
  const handle = await fs.open(file, O_APPEND | O_CREAT | O_EXCL | O_WRONLY); // never through a link
  const write = (event: object): Promise<void> => handle.appendFile(record(event));
  try {
    await write({ wallTime: now(), fileVersion: VERSION });
    await write({ wallTime: now(), sessionLog: { status: START } });
  } catch (error) {
    await handle.close();
    throw error;
  }
  return {
    append: ({ step, scalars, pictures = {}, time }) => {
      const values = Object.entries(scalars).map(([tag, simpleValue]) => ({ tag, simpleValue }));
      const images = Object.entries(pictures).map(([tag, png]) => ({ tag, image: imageMessage(png) }));
      return write({ wallTime: time, step, summary: { value: [...values, ...images] } });
    },
    emptyOthers: async () => {
      for (const name of others) await empty(path.join(folder, name));
    },
    close: () => handle.close(),
  };
}

async function empty(file: string): Promise<void> {
  const handle = await fs.open(file, O_WRONLY | O_NOFOLLOW);
  try {
    if ((await handle.stat()).size === 0) await fs.rm(file);
    else await handle.truncate();
  } finally {
    await handle.close();
  }
}

/** Seconds since 1970. */
export const now = (): number => Date.now() / 1000;

/** A PNG begins with its signature and with the chunk that says how large it is. */
const imageMessage = (png: Buffer): object => ({
  width: png.readUInt32BE(16),
  height: png.readUInt32BE(20),
  colorspace: RGB,
  encodedImageString: png,
});

function record(event: object): Buffer {
  const data = Event.encode(event as never).finish();
  const bytes = Buffer.alloc(8 + 4 + data.length + 4);
  bytes.writeBigUInt64LE(BigInt(data.length));
  bytes.writeUInt32LE(maskedSum(bytes.subarray(0, 8)), 8);
  bytes.set(data, 12);
  bytes.writeUInt32LE(maskedSum(data), 12 + data.length);
  return bytes;
}

/** As TensorFlow changes checksums that stand among what may be summed again. */
function maskedSum(bytes: Uint8Array): number {
  const sum = crc32c(bytes);
  return (((sum >>> 15) | (sum << 17)) + 0xa282ead8) >>> 0;
}

/** Castagnoli's polynomial, its bits reversed. */
const POLYNOMIAL = 0x82f63b78;

const table = Uint32Array.from({ length: 256 }, (_, byte) => {
  let sum = byte;
  for (let bit = 0; bit < 8; bit++) sum = sum & 1 ? (sum >>> 1) ^ POLYNOMIAL : sum >>> 1;
  return sum;
});

export function crc32c(bytes: Uint8Array): number {
  let sum = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) {
    sum = (table[(sum ^ (bytes[i] as number)) & 255] as number) ^ (sum >>> 8);
  }
  return ~sum >>> 0;
}

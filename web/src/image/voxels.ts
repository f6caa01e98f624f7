/** The voxels of an image: grey samples as they are stored, or the pixels of a colour picture. */

import type { Vec3 } from "./geometry";

export type Samples = Uint8Array | Int16Array | Uint16Array | Float32Array;

export interface Voxels {
  size: Vec3;
  /** x fastest. */
  samples: Samples;
  /** RGBA of each pixel where the picture has colours. */
  colours: Uint32Array | null;
}

/** NIfTI-1 data types that the server sends. */
const TYPES: Record<number, { bytes: number; view: (buffer: ArrayBuffer, offset: number, count: number) => Samples }> =
  {
    2: { bytes: 1, view: (b, o, n) => new Uint8Array(b, o, n) },
    4: { bytes: 2, view: (b, o, n) => new Int16Array(b, o, n) },
    512: { bytes: 2, view: (b, o, n) => new Uint16Array(b, o, n) },
    16: { bytes: 4, view: (b, o, n) => new Float32Array(b, o, n) },
  };

/** Reads the one kind of NIfTI-1 file that the server writes: little endian, one file, no scaling. */
export function voxelsOfNifti(buffer: ArrayBuffer, size: Vec3): Voxels {
  const header = new DataView(buffer, 0, 348);
  if (header.getInt32(0, true) !== 348) throw new Error("The image that the server sent is not NIfTI-1");
  const type = TYPES[header.getInt16(70, true)];
  const offset = header.getFloat32(108, true);
  const count = size[0] * size[1] * size[2];
  if (!type || buffer.byteLength < offset + count * type.bytes)
    throw new Error("The image that the server sent is of another type or size than it said");
  return { size, samples: type.view(buffer, offset, count), colours: null };
}

/** Reads a response into one buffer, telling how far it is. */
export async function readAll(response: Response, progress: (fraction: number) => void): Promise<ArrayBuffer> {
  const length = Number(response.headers.get("Content-Length") ?? 0);
  if (!response.body || length < 1 << 22) return response.arrayBuffer();
  const bytes = new Uint8Array(length);
  const reader = response.body.getReader();
  let filled = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes.set(value, filled);
    filled += value.length;
    progress(filled / length);
  }
  if (filled !== length) throw new Error("The image ended early; open it again");
  return bytes.buffer;
}

/** The pixels of a colour picture. */
export async function voxelsOfPicture(blob: Blob, size: Vec3): Promise<Voxels> {
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("This browser has no 2D canvas; use a current Chrome, Edge, Firefox or Safari");
  context.drawImage(bitmap, 0, 0);
  const pixels = context.getImageData(0, 0, bitmap.width, bitmap.height).data;
  const colours = new Uint32Array(pixels.buffer);
  const samples = new Uint8Array(colours.length);
  // Rec. 709: what the cursor reads out of a colour picture.
  for (let i = 0; i < samples.length; i++)
    samples[i] = 0.2126 * pixels[4 * i] + 0.7152 * pixels[4 * i + 1] + 0.0722 * pixels[4 * i + 2];
  return { size, samples, colours };
}

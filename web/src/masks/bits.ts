/** Masks on the wire: base64 of zlib of packed bits or labels (see the server's `Patch`). */

export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

export function toBase64(bytes: Uint8Array): string {
  const parts: string[] = [];
  // In parts: an argument list has a limit.
  for (let i = 0; i < bytes.length; i += 0x8000) parts.push(String.fromCharCode(...bytes.subarray(i, i + 0x8000)));
  return btoa(parts.join(""));
}

async function through(
  bytes: Uint8Array<ArrayBuffer>,
  stream: GenericTransformStream,
): Promise<Uint8Array<ArrayBuffer>> {
  const piped = new Blob([bytes]).stream().pipeThrough(stream as ReadableWritablePair<Uint8Array, BufferSource>);
  return new Uint8Array(await new Response(piped as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer());
}

export const inflate = (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> =>
  through(bytes, new DecompressionStream("deflate"));

export const deflate = (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>> =>
  through(bytes, new CompressionStream("deflate"));

/** 0/1 of `count` voxels, the first in the highest bit (NumPy's packbits). */
export function unpackBits(packed: Uint8Array, count: number): Uint8Array {
  if (packed.length !== Math.ceil(count / 8)) throw new Error(`${count} bits do not fill ${packed.length} bytes`);
  const mask = new Uint8Array(count);
  for (let i = 0; i < count; i++) mask[i] = (packed[i >> 3] >> (7 - (i & 7))) & 1;
  return mask;
}

export function packBits(mask: Uint8Array): Uint8Array<ArrayBuffer> {
  const packed = new Uint8Array(Math.ceil(mask.length / 8));
  for (let i = 0; i < mask.length; i++) if (mask[i]) packed[i >> 3] |= 128 >> (i & 7);
  return packed;
}

export async function decodeBits(text: string, count: number): Promise<Uint8Array> {
  return unpackBits(await inflate(fromBase64(text)), count);
}

export async function encodeBits(mask: Uint8Array): Promise<string> {
  return toBase64(await deflate(packBits(mask)));
}

/** Object numbers, one or two bytes each, little endian. */
export async function decodeLabels(
  text: string,
  dtype: "uint8" | "uint16",
  count: number,
): Promise<Uint8Array | Uint16Array> {
  const bytes = await inflate(fromBase64(text));
  const labels = dtype === "uint16" ? new Uint16Array(bytes.buffer) : bytes;
  if (labels.length !== count) throw new Error(`expected ${count} labels, got ${labels.length}`);
  return labels;
}

/** From samples to grey: the display window. */

import type { Samples } from "./voxels";

export interface DisplayWindow {
  level: number;
  width: number;
}

/** Narrowest window: a thousandth of the width it starts with would be noise, and zero divides. */
export const NARROWEST = 1e-6;

/** 0..255 for a sample. */
export function greyOf(value: number, window: DisplayWindow): number {
  const grey = ((value - window.level) / Math.max(window.width, NARROWEST) + 0.5) * 255;
  return grey < 0 ? 0 : grey > 255 ? 255 : Math.round(grey);
}

const opaque = (grey: number): number => (0xff000000 | (grey << 16) | (grey << 8) | grey) >>> 0;

/** Opaque grey (RGBA, little endian) by grey level. */
const GREYS = Uint32Array.from({ length: 256 }, (_, grey) => opaque(grey));

/** RGBA by sample: a table where there are few values. */
export interface Colourer {
  /** Entry `value + offset`; null where samples have to be computed one by one. */
  table: Uint32Array | null;
  offset: number;
  of(value: number): number;
}

let last: { colourer: Colourer; key: string } | null = null;

/** The colours of a window; the table of the last one is kept, because all views use it. */
export function colourer(samples: Samples, window: DisplayWindow): Colourer {
  if (samples instanceof Float32Array)
    return { table: null, offset: 0, of: (value) => GREYS[greyOf(value, window)] ?? GREYS[0] };
  const offset = samples instanceof Int16Array ? 32768 : 0;
  const count = samples instanceof Uint8Array ? 256 : 65536;
  const key = [offset, count, window.level, window.width].join();
  if (last?.key === key) return last.colourer;
  const table = new Uint32Array(count);
  for (let i = 0; i < count; i++) table[i] = GREYS[greyOf(i - offset, window)];
  last = { key, colourer: { table, offset, of: (value) => table[value + offset] } };
  return last.colourer;
}

/** The window after a drag of (dx, dy) of the view's extent: right widens, down raises the level (darkens). */
export function draggedWindow(from: DisplayWindow, dx: number, dy: number, range: number): DisplayWindow {
  const step = Math.max(from.width, range / 500);
  return { width: Math.max(from.width + dx * step * 2, range / 5000, NARROWEST), level: from.level + dy * step * 2 };
}

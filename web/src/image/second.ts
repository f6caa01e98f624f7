/** A second image on the slices of the first: each pixel by linear interpolation where its place in the world is. */

import type { Geometry, Vec3 } from "./geometry";
import { type Plane, planeToIndex } from "./planes";
import { type Cut, cutSize } from "./slice";
import type { Voxels } from "./voxels";
import { type DisplayWindow, greyOf } from "./window";

/** A second image and where it lies in the world of the first. */
export interface Second {
  voxels: Voxels;
  geometry: Geometry;
}

export type ColourMap = "hot" | "cool" | "grey";
export const COLOUR_MAPS: readonly ColourMap[] = ["hot", "cool", "grey"];

/** The second image's value at a continuous index of the first; not a number where it has none. */
export function valueAt(second: Second, first: Geometry, index: Vec3): number {
  return sample(second.voxels, second.geometry.toIndex(first.toWorld(index)));
}

/** The values of a cut, row by row; not a number where there is no second image. */
export function secondValues(second: Second, first: Geometry, plane: Plane, cut: Cut, slice: number): Float32Array {
  const [width, height] = cutSize(cut);
  const values = new Float32Array(width * height);
  const there = (u: number, v: number): Vec3 =>
    second.geometry.toIndex(first.toWorld(planeToIndex(plane, first, u, v, slice)));
  // The map from one grid to the other is affine: one step along each axis says it all.
  const start = there(cut.u0, cut.v0);
  const alongU = minus(there(cut.u0 + cut.step, cut.v0), start);
  const alongV = minus(there(cut.u0, cut.v0 + cut.step), start);
  const place: Vec3 = [0, 0, 0];
  for (let v = 0, target = 0; v < height; v++)
    for (let u = 0; u < width; u++) {
      for (let axis = 0; axis < 3; axis++) place[axis] = start[axis] + u * alongU[axis] + v * alongV[axis];
      values[target++] = sample(second.voxels, place);
    }
  return values;
}

function minus(a: Vec3, b: Vec3): Vec3 {
  return [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
}

/** Half a voxel beyond the outer centres takes their values, as the server's `LinkedImage.slice` has it. */
function sample({ samples, size }: Voxels, [x, y, z]: Vec3): number {
  const [nx, ny, nz] = size;
  if (!(x >= -0.5 && y >= -0.5 && z >= -0.5 && x < nx - 0.5 && y < ny - 0.5 && z < nz - 0.5)) return Number.NaN;
  const cx = x < 0 ? 0 : x > nx - 1 ? nx - 1 : x;
  const cy = y < 0 ? 0 : y > ny - 1 ? ny - 1 : y;
  const cz = z < 0 ? 0 : z > nz - 1 ? nz - 1 : z;
  const x0 = Math.floor(cx);
  const y0 = Math.floor(cy);
  const z0 = Math.floor(cz);
  const dx = x0 + 1 < nx ? 1 : 0;
  const dy = y0 + 1 < ny ? nx : 0;
  const dz = z0 + 1 < nz ? nx * ny : 0;
  const fx = cx - x0;
  const fy = cy - y0;
  const fz = cz - z0;
  const at = (z0 * ny + y0) * nx + x0;
  const near = row(samples, at, dx, dy, fx, fy);
  return fz === 0 ? near : near + (row(samples, at + dz, dx, dy, fx, fy) - near) * fz;
}

function row(samples: Voxels["samples"], at: number, dx: number, dy: number, fx: number, fy: number): number {
  const one = samples[at] + (samples[at + dx] - samples[at]) * fx;
  if (fy === 0) return one;
  return one + (samples[at + dy] + (samples[at + dy + dx] - samples[at + dy]) * fx - one) * fy;
}

/** Part of the window over which an overlay in colours comes in: what is low hides nothing. */
const RAMP = 0.25;

/** RGBA of values in a window: opaque by itself, and as an overlay clear where it is low, where it has colours. */
export function secondPixels(
  values: Float32Array,
  window: DisplayWindow,
  map: ColourMap,
  overlaid: boolean,
): Uint32Array<ArrayBuffer> {
  const table = tableOf(map, overlaid && map !== "grey");
  const pixels = new Uint32Array(values.length);
  for (let i = 0; i < values.length; i++) if (!Number.isNaN(values[i])) pixels[i] = table[greyOf(values[i], window)];
  return pixels;
}

const tables = new Map<string, Uint32Array>();

function tableOf(map: ColourMap, ramped: boolean): Uint32Array {
  const key = `${map},${ramped}`;
  let table = tables.get(key);
  if (!table) {
    table = Uint32Array.from({ length: 256 }, (_, level) => {
      const part = level / 255;
      const alpha = ramped ? Math.round(255 * Math.min(1, part / RAMP)) : 255;
      const [red, green, blue] = colourOf(map, part);
      return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
    });
    tables.set(key, table);
  }
  return table;
}

/** Three ramps, one after the other: "hot" from black over red and yellow to white, "cool" over blue and cyan. */
function colourOf(map: ColourMap, part: number): Vec3 {
  const level = (from: number, to: number): number =>
    Math.round(255 * Math.max(0, Math.min(1, (part - from) / (to - from))));
  if (map === "grey") return [level(0, 1), level(0, 1), level(0, 1)];
  const ramps: Vec3 = [level(0, 0.375), level(0.375, 0.75), level(0.75, 1)];
  return map === "hot" ? ramps : [ramps[2], ramps[1], ramps[0]];
}

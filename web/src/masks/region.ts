/** Half-open boxes of voxels, x first (the server's are in array order). */

import type { Box } from "../api/messages";
import type { Vec3 } from "../image/geometry";

export interface Region {
  low: Vec3;
  high: Vec3;
}

export function regionOf(box: Box): Region {
  const [x, y, z] = [...box.start].reverse();
  const [toX, toY, toZ] = [...box.stop].reverse();
  return { low: [x, y, z ?? 0], high: [toX, toY, toZ ?? 1] };
}

export function boxOf(region: Region, ndim: 2 | 3): Box {
  const cut = (v: Vec3): number[] => v.slice(0, ndim).reverse();
  return { start: cut(region.low), stop: cut(region.high) };
}

export function regionSize(region: Region): Vec3 {
  return region.high.map((high, axis) => Math.max(0, high - region.low[axis])) as Vec3;
}

export function regionCount(region: Region): number {
  const [x, y, z] = regionSize(region);
  return x * y * z;
}

export function union(a: Region, b: Region): Region {
  if (regionCount(a) === 0) return b;
  if (regionCount(b) === 0) return a;
  return {
    low: a.low.map((v, axis) => Math.min(v, b.low[axis])) as Vec3,
    high: a.high.map((v, axis) => Math.max(v, b.high[axis])) as Vec3,
  };
}

export function intersect(a: Region, b: Region): Region {
  const low = a.low.map((v, axis) => Math.max(v, b.low[axis])) as Vec3;
  const high = a.high.map((v, axis) => Math.max(low[axis], Math.min(v, b.high[axis]))) as Vec3;
  return { low, high };
}

/** Calls back with the start of each row in two arrays that cover `outer` and `inner`, of which `inner` lies within `outer`. */
export function eachRow(
  outer: Region,
  inner: Region,
  row: (outerStart: number, innerStart: number, length: number) => void,
): void {
  const [width, height] = regionSize(outer);
  const [length, rows, slices] = regionSize(inner);
  const [dx, dy, dz] = inner.low.map((v, axis) => v - outer.low[axis]);
  for (let z = 0; z < slices; z++)
    for (let y = 0; y < rows; y++) row(((z + dz) * height + y + dy) * width + dx, (z * rows + y) * length, length);
}

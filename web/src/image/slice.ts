/** Cuts slices out of the voxels and the labels, into pixels. */

import type { LabelVolume } from "../masks/labels";
import type { Vec3 } from "./geometry";
import type { Plane } from "./planes";
import type { Voxels } from "./voxels";
import type { Colourer } from "./window";

/** A part of a slice in whole voxels of the plane (half open), every `step`-th of them. */
export interface Cut {
  u0: number;
  v0: number;
  u1: number;
  v1: number;
  step: number;
}

export function cutSize(cut: Cut): [number, number] {
  return [Math.ceil((cut.u1 - cut.u0) / cut.step), Math.ceil((cut.v1 - cut.v0) / cut.step)];
}

/** Where the first voxel of a cut lies in the array, and how far apart neighbours are. */
function strides(plane: Plane, size: Vec3, cut: Cut, slice: number): { start: number; du: number; dv: number } {
  const stride: Vec3 = [1, size[0], size[0] * size[1]];
  const alongRight = plane.flipRight ? -stride[plane.right] : stride[plane.right];
  const alongDown = plane.flipDown ? -stride[plane.down] : stride[plane.down];
  const right = plane.flipRight ? size[plane.right] - 1 - cut.u0 : cut.u0;
  const down = plane.flipDown ? size[plane.down] - 1 - cut.v0 : cut.v0;
  const start = right * stride[plane.right] + down * stride[plane.down] + slice * stride[plane.through];
  return { start, du: alongRight * cut.step, dv: alongDown * cut.step };
}

/** The pixels of a slice, RGBA. */
export function imagePixels(
  voxels: Voxels,
  plane: Plane,
  cut: Cut,
  slice: number,
  colours: Colourer,
): Uint32Array<ArrayBuffer> {
  const [width, height] = cutSize(cut);
  const { start, du, dv } = strides(plane, voxels.size, cut, slice);
  const pixels = new Uint32Array(width * height);
  const { samples } = voxels;
  const { table, offset } = colours;
  for (let v = 0, target = 0; v < height; v++) {
    let source = start + v * dv;
    if (voxels.colours) for (let u = 0; u < width; u++, source += du) pixels[target++] = voxels.colours[source];
    else if (table) for (let u = 0; u < width; u++, source += du) pixels[target++] = table[samples[source] + offset];
    else for (let u = 0; u < width; u++, source += du) pixels[target++] = colours.of(samples[source]);
  }
  return pixels;
}

/** The labels of a slice, in the same order as its pixels. */
export function labelPixels(labels: LabelVolume, plane: Plane, cut: Cut, slice: number): Uint16Array {
  const [width, height] = cutSize(cut);
  const { start, du, dv } = strides(plane, labels.size, cut, slice);
  const result = new Uint16Array(width * height);
  const { data } = labels;
  for (let v = 0, target = 0; v < height; v++)
    for (let u = 0, source = start + v * dv; u < width; u++, source += du) result[target++] = data[source];
  return result;
}

/** A part of a cut, in its pixels (half open). */
export interface Rectangle {
  left: number;
  top: number;
  right: number;
  bottom: number;
}

/** The smallest rectangle that holds all labels of a cut; null where there are none. */
export function labelledRectangle(labels: Uint16Array, width: number, height: number): Rectangle | null {
  let left = width;
  let right = 0;
  let top = height;
  let bottom = 0;
  for (let v = 0, i = 0; v < height; v++)
    for (let u = 0; u < width; u++, i++)
      if (labels[i] !== 0) {
        if (u < left) left = u;
        if (u >= right) right = u + 1;
        if (v < top) top = v;
        bottom = v + 1;
      }
  return right > 0 ? { left, top, right, bottom } : null;
}

/** A straight piece of an object's border on the grid between the pixels of a cut. */
export interface Edge {
  label: number;
  u0: number;
  v0: number;
  u1: number;
  v1: number;
}

/**
 * The borders of all objects of a slice; pieces in line are one. Outside the cut counts as more of the same.
 *
 * `within` holds all labels. Runs at every answer, so it is plain loops over the array.
 */
export function contours(labels: Uint16Array, width: number, height: number, within: Rectangle): Edge[] {
  const edges: Edge[] = [];
  const { left, top, right, bottom } = within;
  for (let v = Math.max(1, top); v <= Math.min(height - 1, bottom); v++)
    for (let side = 0; side < 2; side++) {
      const here = (v - side) * width;
      const there = (v - 1 + side) * width;
      let running = 0;
      let from = left;
      for (let u = left; u <= right; u++) {
        const own = u < right ? labels[here + u] : 0;
        const label = own !== 0 && own !== labels[there + u] ? own : 0;
        if (label === running) continue;
        if (running !== 0) edges.push({ label: running, u0: from, v0: v, u1: u, v1: v });
        running = label;
        from = u;
      }
      if (running !== 0) edges.push({ label: running, u0: from, v0: v, u1: right, v1: v });
    }
  for (let u = Math.max(1, left); u <= Math.min(width - 1, right); u++)
    for (let side = 0; side < 2; side++) {
      let running = 0;
      let from = top;
      for (let v = top; v <= bottom; v++) {
        const own = v < bottom ? labels[v * width + u - side] : 0;
        const label = own !== 0 && own !== labels[v * width + u - 1 + side] ? own : 0;
        if (label === running) continue;
        if (running !== 0) edges.push({ label: running, u0: u, v0: from, u1: u, v1: v });
        running = label;
        from = v;
      }
      if (running !== 0) edges.push({ label: running, u0: u, v0: from, u1: u, v1: bottom });
    }
  return edges;
}

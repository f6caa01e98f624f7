/** Where a view looks: from places on a slice to pixels of the screen and back. */

import type { Geometry } from "../image/geometry";
import { type Plane, planeSize } from "../image/planes";
import type { Cut } from "../image/slice";

export const LARGEST_ZOOM = 60;

export interface Camera {
  /** Place of the slice (in voxels of the plane) at the centre of the view. */
  u: number;
  v: number;
  /** 1 shows the whole slice. */
  zoom: number;
}

/** A view of a given size on a plane: pure arithmetic, in CSS pixels. */
export class Projection {
  /** CSS pixels per voxel. */
  readonly scaleU: number;
  readonly scaleV: number;
  readonly slice: [number, number];

  constructor(
    readonly camera: Camera,
    plane: Plane,
    geometry: Geometry,
    readonly width: number,
    readonly height: number,
  ) {
    this.slice = planeSize(plane, geometry);
    const mmU = geometry.spacing[plane.right];
    const mmV = geometry.spacing[plane.down];
    const fit = Math.min(width / (this.slice[0] * mmU), height / (this.slice[1] * mmV));
    this.scaleU = fit * mmU * camera.zoom;
    this.scaleV = fit * mmV * camera.zoom;
  }

  toScreen(u: number, v: number): [number, number] {
    return [this.width / 2 + (u - this.camera.u) * this.scaleU, this.height / 2 + (v - this.camera.v) * this.scaleV];
  }

  toSlice(x: number, y: number): [number, number] {
    return [this.camera.u + (x - this.width / 2) / this.scaleU, this.camera.v + (y - this.height / 2) / this.scaleV];
  }

  /** The voxels in sight; every `step`-th where several fall on one pixel of the device. */
  visible(deviceScale: number): Cut {
    const [left, top] = this.toSlice(0, 0);
    const [right, bottom] = this.toSlice(this.width, this.height);
    const perPixel = 1 / (Math.max(this.scaleU, this.scaleV) * deviceScale);
    const step = Math.max(1, Math.floor(perPixel));
    const from = (value: number): number => Math.max(0, Math.floor((value + 0.5) / step - 1) * step);
    const to = (value: number, size: number): number => Math.min(size, Math.ceil((value + 0.5) / step + 1) * step);
    const u0 = from(left);
    const v0 = from(top);
    return { u0, v0, u1: Math.max(u0, to(right, this.slice[0])), v1: Math.max(v0, to(bottom, this.slice[1])), step };
  }
}

export function fitted(plane: Plane, geometry: Geometry): Camera {
  const [width, height] = planeSize(plane, geometry);
  return { u: (width - 1) / 2, v: (height - 1) / 2, zoom: 1 };
}

/** Zoomed by a factor about the place under (x, y), which stays where it is. */
export function zoomed(projection: Projection, factor: number, x: number, y: number): Camera {
  const { camera } = projection;
  const zoom = Math.min(LARGEST_ZOOM, Math.max(0.5, camera.zoom * factor));
  const [u, v] = projection.toSlice(x, y);
  const ratio = camera.zoom / zoom;
  return { u: u + (camera.u - u) * ratio, v: v + (camera.v - v) * ratio, zoom };
}

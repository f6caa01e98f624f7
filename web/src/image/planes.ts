/** Which axes of the array a view shows, and which way round, so that patients look as radiologists expect. */

import { dot, type Geometry, orientationLetters, type Vec3 } from "./geometry";

export type PlaneName = "axial" | "coronal" | "sagittal" | "picture";

/** One view's axes. Screen coordinates (u right, v down) are in voxels of the slice, 0 at the centre of the first. */
export interface Plane {
  name: PlaneName;
  /** Axis (0 = x, 1 = y, 2 = z) that runs to the right on the screen, and whether against its index. */
  right: number;
  flipRight: boolean;
  down: number;
  flipDown: boolean;
  /** Axis one scrolls through. */
  through: number;
}

/** What points right and down on the screen in LPS: the patient's left is on the reader's right. */
const SCREEN: Record<"axial" | "coronal" | "sagittal", { right: Vec3; down: Vec3 }> = {
  axial: { right: [1, 0, 0], down: [0, 1, 0] },
  coronal: { right: [1, 0, 0], down: [0, 0, -1] },
  sagittal: { right: [0, 1, 0], down: [0, 0, -1] },
};

/** Axis of the array nearest to each axis of the world (L, P, S): the assignment with the largest sum of cosines. */
export function nearestAxes(geometry: Geometry): Vec3 {
  const orders: Vec3[] = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ];
  const score = (order: Vec3): number =>
    order.reduce((sum, axis, world) => sum + Math.abs(geometry.columns[axis][world]), 0);
  return orders.reduce((best, order) => (score(order) > score(best) + 1e-9 ? order : best));
}

export function planeOf(geometry: Geometry, name: PlaneName): Plane {
  if (name === "picture") return { name, right: 0, flipRight: false, down: 1, flipDown: false, through: 2 };
  const axes = nearestAxes(geometry);
  const screen = SCREEN[name];
  const right = axes[largest(screen.right)];
  const down = axes[largest(screen.down)];
  return {
    name,
    right,
    flipRight: dot(geometry.columns[right], screen.right) < 0,
    down,
    flipDown: dot(geometry.columns[down], screen.down) < 0,
    through: 3 - right - down,
  };
}

function largest(v: Vec3): number {
  return v.findIndex((value) => value !== 0);
}

/** Width and height of the slice in voxels. */
export function planeSize(plane: Plane, geometry: Geometry): [number, number] {
  return [geometry.size[plane.right], geometry.size[plane.down]];
}

/** Continuous index of a place on the screen's slice. */
export function planeToIndex(plane: Plane, geometry: Geometry, u: number, v: number, slice: number): Vec3 {
  const result: Vec3 = [0, 0, 0];
  result[plane.right] = plane.flipRight ? geometry.size[plane.right] - 1 - u : u;
  result[plane.down] = plane.flipDown ? geometry.size[plane.down] - 1 - v : v;
  result[plane.through] = slice;
  return result;
}

/** The inverse: (u, v) on the slice, and the (continuous) slice it lies on. */
export function indexToPlane(plane: Plane, geometry: Geometry, index: Vec3): { u: number; v: number; slice: number } {
  const right = index[plane.right];
  const down = index[plane.down];
  return {
    u: plane.flipRight ? geometry.size[plane.right] - 1 - right : right,
    v: plane.flipDown ? geometry.size[plane.down] - 1 - down : down,
    slice: index[plane.through],
  };
}

/** Letters at the left, right, top and bottom of a view. */
export function planeLetters(
  plane: Plane,
  geometry: Geometry,
): { left: string; right: string; top: string; bottom: string } {
  const rightwards = signed(geometry.columns[plane.right], plane.flipRight);
  const downwards = signed(geometry.columns[plane.down], plane.flipDown);
  return {
    right: orientationLetters(rightwards),
    left: orientationLetters(signed(rightwards, true)),
    bottom: orientationLetters(downwards),
    top: orientationLetters(signed(downwards, true)),
  };
}

function signed(v: Vec3, negative: boolean): Vec3 {
  return negative ? [-v[0], -v[1], -v[2]] : v;
}

/** Angle in degrees between the array's axes and the patient's. */
export function obliqueness(geometry: Geometry): number {
  const axes = nearestAxes(geometry);
  const cosines = axes.map((axis, world) => Math.min(1, Math.abs(geometry.columns[axis][world])));
  return (Math.acos(Math.min(...cosines)) * 180) / Math.PI;
}

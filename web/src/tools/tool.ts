/** What a tool is: it takes the pointer's gestures on a view and draws what it is about to do. */

import type { On } from "../api/messages";
import type { Actions } from "../app/actions";
import type { Workplace } from "../app/workplace";
import type { Vec3 } from "../image/geometry";
import type { Plane } from "../image/planes";
import type { AppState, AppStore } from "../state/app";
import type { Camera, Projection } from "../views/camera";

/** The pointer over a view. */
export interface Pointer {
  /** Continuous place on the slice, in voxels of the plane. */
  u: number;
  v: number;
  /** The same as a continuous index (x, y, z); whole across the plane. */
  index: Vec3;
  /** CSS pixels from the view's corner. */
  x: number;
  y: number;
  /** Shift was held: the other sign. */
  shift: boolean;
}

/** What a tool may know of the view it works on. */
export interface Stage {
  readonly store: AppStore;
  readonly actions: Actions;
  readonly place: Workplace;
  readonly plane: Plane;
  readonly slice: number;
  readonly projection: Projection;
  /** Which image the view shows. */
  readonly shows: On;
  setCamera(camera: Camera): void;
  /** Draw again, of this view alone. */
  redraw(): void;
}

export interface Tool {
  cursor: string;
  down?(stage: Stage, pointer: Pointer): void;
  move?(stage: Stage, pointer: Pointer): void;
  /** `time` is when the pointer went up. */
  up?(stage: Stage, pointer: Pointer, time: number): void;
  /** The gesture is given up. */
  cancel?(): void;
  /** The pointer without a button. */
  hover?(stage: Stage, pointer: Pointer): void;
  draw?(stage: Stage, context: CanvasRenderingContext2D, pointer: Pointer | null): void;
}

/** The sign of a prompt: that of the switch, or the other with Shift. */
export function signOf(state: Readonly<AppState>, pointer: Pointer): boolean {
  return pointer.shift ? !state.positive : state.positive;
}

/** (x, y) or (x, y, z) of the image, to a hundredth of a voxel. */
export function coordinates(place: Workplace, index: Vec3): number[] {
  return index.slice(0, place.geometry.ndim).map((value) => Math.round(value * 100) / 100);
}

/** Moved into the voxels of the image. */
export function clamped(place: Workplace, index: Vec3): Vec3 {
  return index.map((value, axis) => Math.max(-0.49, Math.min(place.geometry.size[axis] - 0.51, value))) as Vec3;
}

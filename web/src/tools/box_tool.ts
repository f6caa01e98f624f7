/** Boxes: on one slice at once, or in three dimensions, shaped in all views before they are sent. */

import type { Vec3 } from "../image/geometry";
import { indexToPlane, type Plane } from "../image/planes";
import type { Region } from "../masks/region";
import { toast } from "../ui/toast";
import { signColour, strokeBox } from "../views/markers";
import { deepBoxRejection } from "./rejections";
import { clamped, type Pointer, type Stage, signOf, type Tool } from "./tool";

/** How near to a side the pointer takes hold of it, in CSS pixels. */
const GRIP = 8;

interface Side {
  axis: number;
  end: "low" | "high";
}

export class BoxTool implements Tool {
  cursor = "crosshair";
  private start: Pointer | null = null;
  private end: Pointer | null = null;
  private held: Side[] = [];
  private stage: Stage | null = null;

  down(stage: Stage, pointer: Pointer): void {
    this.stage = stage;
    const shaped = stage.store.get().shapedBox;
    this.held = shaped ? sidesNear(stage, shaped, pointer) : [];
    if (this.held.length === 0) this.start = this.end = pointer;
  }

  move(stage: Stage, pointer: Pointer): void {
    const { shapedBox } = stage.store.get();
    if (this.held.length > 0 && shapedBox)
      stage.store.set({ shapedBox: withSides(stage, shapedBox, this.held, pointer) });
    else if (this.start) this.end = pointer;
    stage.redraw();
  }

  up(stage: Stage, pointer: Pointer, time: number): void {
    const start = this.start;
    this.cancel();
    if (!start) return;
    if (Math.abs(pointer.x - start.x) < 3 || Math.abs(pointer.y - start.y) < 3) {
      toast("info", "Drag from one corner of the object to the other.");
      return;
    }
    const region = regionBetween(stage, start, pointer);
    const state = stage.store.get();
    if (state.box3d && deepBoxRejection(state) === null) {
      stage.store.set({ shapedBox: deepened(stage, region), cursor: middle(region) });
    } else sendBox(stage, region, signOf(state, pointer), time);
  }

  cancel(): void {
    this.start = this.end = null;
    this.held = [];
    this.stage?.redraw();
    this.stage = null;
  }

  hover(stage: Stage, pointer: Pointer): void {
    const { shapedBox } = stage.store.get();
    const near = shapedBox ? sidesNear(stage, shapedBox, pointer) : [];
    const across = near.some((side) => side.axis === stage.plane.right);
    const along = near.some((side) => side.axis === stage.plane.down);
    this.cursor = across && along ? "move" : across ? "ew-resize" : along ? "ns-resize" : "crosshair";
  }

  draw(stage: Stage, context: CanvasRenderingContext2D): void {
    const state = stage.store.get();
    if (state.shapedBox) drawShaped(stage, context, state.shapedBox, signColour(state.positive));
    if (!this.start || !this.end || this.stage?.plane.name !== stage.plane.name) return;
    const region = regionBetween(stage, this.start, this.end);
    strokeBox(context, onScreen(stage, region), signColour(signOf(state, this.end)), { width: 2 });
  }
}

/** Sends a box; in the index frame, voxels low <= i < high. */
export function sendBox(
  stage: Pick<Stage, "place" | "actions">,
  region: Region,
  positive: boolean,
  time: number,
): void {
  const n = stage.place.geometry.ndim;
  stage.actions.prompt(
    { kind: "box", low: region.low.slice(0, n), high: region.high.slice(0, n), positive, frame: "index" },
    time,
  );
}

/** Whole voxels between two places on a slice. */
function regionBetween(stage: Stage, a: Pointer, b: Pointer): Region {
  const from = clamped(stage.place, a.index).map(Math.round) as Vec3;
  const to = clamped(stage.place, b.index).map(Math.round) as Vec3;
  return {
    low: from.map((v, axis) => Math.min(v, to[axis])) as Vec3,
    high: from.map((v, axis) => Math.max(v, to[axis]) + 1) as Vec3,
  };
}

/** A first guess of the third extent: the mean of the other two, in mm. */
function deepened(stage: Stage, region: Region): Region {
  const { spacing, size } = stage.place.geometry;
  const { right, down, through } = stage.plane;
  const length = (axis: number): number => (region.high[axis] - region.low[axis]) * spacing[axis];
  const half = Math.max(1, Math.round((length(right) + length(down)) / 4 / spacing[through]));
  const low: Vec3 = [...region.low];
  const high: Vec3 = [...region.high];
  low[through] = Math.max(0, region.low[through] - half);
  high[through] = Math.min(size[through], region.high[through] + half);
  return { low, high };
}

function middle(region: Region): Vec3 {
  return region.low.map((low, axis) => Math.floor((low + region.high[axis] - 1) / 2)) as Vec3;
}

/** The rectangle of a region on the screen: left, top, right, bottom. */
export function onScreen(
  stage: Pick<Stage, "plane" | "place" | "projection">,
  region: Region,
): [number, number, number, number] {
  const corner = (index: Vec3): [number, number] => {
    const { u, v } = indexToPlane(stage.plane, stage.place.geometry, index);
    return stage.projection.toScreen(u, v);
  };
  const [ax, ay] = corner(region.low.map((v) => v - 0.5) as Vec3);
  const [bx, by] = corner(region.high.map((v) => v - 0.5) as Vec3);
  return [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
}

function sidesNear(stage: Stage, region: Region, pointer: Pointer): Side[] {
  const [left, top, right, bottom] = onScreen(stage, region);
  const { plane } = stage;
  if (pointer.x < left - GRIP || pointer.x > right + GRIP || pointer.y < top - GRIP || pointer.y > bottom + GRIP)
    return [];
  const sides: Side[] = [];
  const near = (a: number, b: number): boolean => Math.abs(a - b) <= GRIP;
  const side = (axis: number, flipped: boolean, first: boolean): Side => ({
    axis,
    end: first !== flipped ? "low" : "high",
  });
  if (near(pointer.x, left)) sides.push(side(plane.right, plane.flipRight, true));
  else if (near(pointer.x, right)) sides.push(side(plane.right, plane.flipRight, false));
  if (near(pointer.y, top)) sides.push(side(plane.down, plane.flipDown, true));
  else if (near(pointer.y, bottom)) sides.push(side(plane.down, plane.flipDown, false));
  return sides;
}

function withSides(stage: Stage, region: Region, sides: Side[], pointer: Pointer): Region {
  const low: Vec3 = [...region.low];
  const high: Vec3 = [...region.high];
  for (const { axis, end } of sides) {
    const face = Math.round(pointer.index[axis] + 0.5);
    if (end === "low") low[axis] = Math.max(0, Math.min(face, high[axis] - 1));
    else high[axis] = Math.min(stage.place.geometry.size[axis], Math.max(face, low[axis] + 1));
  }
  return { low, high };
}

/** Full where the slice cuts the box, dashed where the box lies on other slices. */
function drawShaped(stage: Stage, context: CanvasRenderingContext2D, region: Region, colour: string): void {
  const inside = holds(stage.plane, region, stage.slice);
  strokeBox(context, onScreen(stage, region), colour, { width: 2, dashed: !inside, handles: inside });
}

export function holds(plane: Plane, region: Region, slice: number): boolean {
  return slice >= region.low[plane.through] && slice < region.high[plane.through];
}

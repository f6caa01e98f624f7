/** Brush and eraser: the last pixels by hand, on one slice. */

import type { Geometry, Vec3 } from "../image/geometry";
import { indexToPlane, type Plane, planeToIndex } from "../image/planes";
import { type Region, regionCount, regionSize } from "../masks/region";
import { currentObject } from "../state/app";
import { NEGATIVE, POSITIVE } from "../views/markers";
import type { Pointer, Stage, Tool } from "./tool";

/** A stroke on a slice, in voxels of the plane. */
export interface BrushStroke {
  plane: Plane;
  slice: number;
  points: [number, number][];
  /** In voxels of the finer of the plane's axes; the brush is round in mm. */
  diameter: number;
}

export class BrushTool implements Tool {
  cursor = "none";
  private stroke: BrushStroke | null = null;
  private stage: Stage | null = null;

  constructor(private readonly paints: boolean) {}

  down(stage: Stage, pointer: Pointer): void {
    if (stage.actions.rejectLocked()) return;
    this.stage = stage;
    const { brushSize } = stage.store.get();
    this.stroke = { plane: stage.plane, slice: stage.slice, points: [[pointer.u, pointer.v]], diameter: brushSize };
    // Asked for while the hand still moves.
    const object = currentObject(stage.store.get());
    if (object) void stage.place.mask(object.id);
    stage.redraw();
  }

  move(stage: Stage, pointer: Pointer): void {
    this.stroke?.points.push([pointer.u, pointer.v]);
    stage.redraw();
  }

  up(stage: Stage, pointer: Pointer, time: number): void {
    const stroke = this.stroke;
    if (!stroke) return;
    stroke.points.push([pointer.u, pointer.v]);
    void this.finish(stage, stroke, time).finally(() => {
      if (this.stroke === stroke) this.cancel();
    });
  }

  cancel(): void {
    this.stroke = null;
    this.stage?.redraw();
    this.stage = null;
  }

  draw(stage: Stage, context: CanvasRenderingContext2D, pointer: Pointer | null): void {
    const { projection } = stage;
    const { brushSize } = stage.store.get();
    const colour = this.paints ? POSITIVE : NEGATIVE;
    const radius = (brushSize / 2) * Math.min(projection.scaleU, projection.scaleV);
    if (this.stroke && this.stage?.plane.name === stage.plane.name) {
      context.save();
      context.globalAlpha = 0.45;
      context.strokeStyle = colour;
      context.lineWidth = radius * 2;
      context.lineCap = context.lineJoin = "round";
      context.beginPath();
      this.stroke.points.forEach(([u, v], i) => {
        const [x, y] = projection.toScreen(u, v);
        if (i === 0) context.moveTo(x, y);
        context.lineTo(x, y);
      });
      context.stroke();
      context.restore();
    }
    if (pointer) {
      context.lineWidth = 3;
      context.strokeStyle = "rgba(0, 0, 0, 0.6)";
      context.beginPath();
      context.arc(pointer.x, pointer.y, Math.max(radius, 1.5), 0, 2 * Math.PI);
      context.stroke();
      context.lineWidth = 1.5;
      context.strokeStyle = colour;
      context.stroke();
    }
  }

  private async finish(stage: Stage, stroke: BrushStroke, time: number): Promise<void> {
    const { geometry } = stage.place;
    const region = strokeRegion(stroke, geometry);
    if (!region) return;
    const object = currentObject(stage.store.get());
    if (!object && !this.paints) return;
    const mask = object ? (await stage.place.mask(object.id)).cut(region) : new Uint8Array(regionCount(region));
    if (paint(stroke, geometry, region, mask, this.paints ? 1 : 0)) await stage.actions.brush(region, mask, time);
  }
}

/** The voxels that a stroke can touch; null outside the image. */
export function strokeRegion(stroke: BrushStroke, geometry: Geometry): Region | null {
  const { plane, slice, points } = stroke;
  const [radiusU, radiusV] = radii(stroke, geometry);
  const us = points.map(([u]) => u);
  const vs = points.map(([, v]) => v);
  const a = planeToIndex(plane, geometry, Math.min(...us) - radiusU, Math.min(...vs) - radiusV, slice);
  const b = planeToIndex(plane, geometry, Math.max(...us) + radiusU, Math.max(...vs) + radiusV, slice);
  const low = a.map((v, axis) => Math.max(0, Math.floor(Math.min(v, b[axis])))) as Vec3;
  const high = a.map((v, axis) => Math.min(geometry.size[axis], Math.ceil(Math.max(v, b[axis])) + 1)) as Vec3;
  low[plane.through] = slice;
  high[plane.through] = slice + 1;
  return low.every((v, axis) => v < high[axis]) ? { low, high } : null;
}

/** Sets the voxels of `mask` (of `region`, x fastest) whose centres the brush passed over; false where none changed. */
export function paint(
  stroke: BrushStroke,
  geometry: Geometry,
  region: Region,
  mask: Uint8Array,
  value: 0 | 1,
): boolean {
  const [radiusU, radiusV] = radii(stroke, geometry);
  const [width, height, depth] = regionSize(region);
  let changed = false;
  for (let z = 0, i = 0; z < depth; z++)
    for (let y = 0; y < height; y++)
      for (let x = 0; x < width; x++, i++) {
        if (mask[i] === value) continue;
        const index: Vec3 = [region.low[0] + x, region.low[1] + y, region.low[2] + z];
        const { u, v } = indexToPlane(stroke.plane, geometry, index);
        if (!touched(stroke.points, u, v, radiusU, radiusV)) continue;
        mask[i] = value;
        changed = true;
      }
  return changed;
}

function radii(stroke: BrushStroke, geometry: Geometry): [number, number] {
  const mmU = geometry.spacing[stroke.plane.right];
  const mmV = geometry.spacing[stroke.plane.down];
  const radius = (stroke.diameter / 2) * Math.min(mmU, mmV);
  return [radius / mmU, radius / mmV];
}

/** Whether (u, v) lies within the brush along the polyline; the nearest voxel of a place always does. */
function touched(points: [number, number][], u: number, v: number, radiusU: number, radiusV: number): boolean {
  for (let i = 0; i < points.length; i++) {
    const [au, av] = points[i];
    const [bu, bv] = points[Math.min(i + 1, points.length - 1)];
    if (Math.round(au) === u && Math.round(av) === v) return true;
    const du = (bu - au) / radiusU;
    const dv = (bv - av) / radiusV;
    const pu = (u - au) / radiusU;
    const pv = (v - av) / radiusV;
    const length = du * du + dv * dv;
    const t = length > 0 ? Math.max(0, Math.min(1, (pu * du + pv * dv) / length)) : 0;
    if ((pu - t * du) ** 2 + (pv - t * dv) ** 2 <= 1) return true;
  }
  return false;
}

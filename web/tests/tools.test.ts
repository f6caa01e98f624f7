import { describe, expect, it } from "vitest";
import { planeOf } from "../src/image/planes";
import { regionCount } from "../src/masks/region";
import { Store } from "../src/state/store";
import { type BrushStroke, paint, strokeRegion } from "../src/tools/brush_tool";
import { onSlice, placeOf } from "../src/views/markers";
import { IDENTITY, volume } from "./helpers";

describe("the brush", () => {
  const grid = volume(IDENTITY, [9, 20, 20], [1, 1, 2]);

  it("is round in millimetres", () => {
    const plane = planeOf(grid, "coronal");
    const stroke: BrushStroke = { plane, slice: 10, points: [[10, 4]], diameter: 8 };
    const region = strokeRegion(stroke, grid);
    expect(region).toEqual({ low: [6, 10, 2], high: [15, 11, 7] });
    if (!region) return;
    const mask = new Uint8Array(regionCount(region));
    expect(paint(stroke, grid, region, mask, 1)).toBe(true);
    const rows = [0, 1, 2, 3, 4].map((z) => mask.slice(z * 9, z * 9 + 9).reduce((sum, value) => sum + value, 0));
    expect(rows).toEqual([1, 7, 9, 7, 1]);
    expect(paint(stroke, grid, region, mask, 1)).toBe(false);
    expect(paint(stroke, grid, region, mask, 0)).toBe(true);
    expect(mask.every((value) => value === 0)).toBe(true);
  });

  it("of one voxel paints the voxel under it", () => {
    const stroke: BrushStroke = { plane: planeOf(grid, "axial"), slice: 3, points: [[4.4, 7.3]], diameter: 1 };
    const region = strokeRegion(stroke, grid);
    if (!region) throw new Error("inside");
    const mask = new Uint8Array(regionCount(region));
    paint(stroke, grid, region, mask, 1);
    expect(mask.reduce((sum, value) => sum + value, 0)).toBe(1);
  });

  it("stays within the image", () => {
    const axial = planeOf(grid, "axial");
    expect(strokeRegion({ plane: axial, slice: 0, points: [[-3, 1]], diameter: 10 }, grid)).toEqual({
      low: [0, 0, 0],
      high: [3, 7, 1],
    });
    expect(strokeRegion({ plane: axial, slice: 0, points: [[-30, 1]], diameter: 10 }, grid)).toBeNull();
  });
});

describe("marks", () => {
  it("are drawn on the slices that they lie on", () => {
    const box = { kind: "box" as const, low: [1, 2, 3], high: [4, 5, 6], positive: true, frame: "index" as const };
    expect([2, 3, 5, 6].map((slice) => onSlice(box, 2, slice))).toEqual([false, true, true, false]);
    expect(placeOf(box)).toEqual([2, 3, 4]);
    const point = { kind: "point" as const, position: [1, 2, 3.3], positive: true, frame: "index" as const };
    expect([3, 4].map((slice) => onSlice(point, 2, slice))).toEqual([true, false]);
  });
});

describe("the store", () => {
  it("tells once of what changed, and only those who asked", () => {
    const waiting: (() => void)[] = [];
    const store = new Store({ a: 1, b: 1 }, (run) => waiting.push(run));
    const told: string[] = [];
    store.watch(["a"], () => told.push("a"));
    store.watch(["b"], () => told.push("b"));
    told.length = 0;
    store.set({ a: 2 });
    store.set({ a: 3, b: 1 });
    expect(told).toEqual([]);
    waiting.splice(0).forEach((run) => run());
    expect(told).toEqual(["a"]);
    expect(store.get()).toEqual({ a: 3, b: 1 });
  });
});

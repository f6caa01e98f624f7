import { describe, expect, it } from "vitest";
import { Geometry, orientationLetters, type Vec3 } from "../src/image/geometry";
import {
  indexToPlane,
  nearestAxes,
  obliqueness,
  type PlaneName,
  planeLetters,
  planeOf,
  planeToIndex,
} from "../src/image/planes";
import { allOrientations, IDENTITY, rotation, volume } from "./helpers";

const PLANES: PlaneName[] = ["axial", "coronal", "sagittal"];

describe("geometry", () => {
  it("goes to the world and back on oblique and flipped grids", () => {
    for (const direction of [...allOrientations(), rotation([1, 2, 3], 27), rotation([3, -1, 1], 140)]) {
      const grid = volume(direction);
      const index: Vec3 = [1.25, 3.5, -0.4];
      grid.toIndex(grid.toWorld(index)).forEach((value, axis) => expect(value).toBeCloseTo(index[axis], 9));
    }
  });

  it("agrees with a grid worked out by hand", () => {
    // x runs to the patient's right, y to the front, z to the head, as most CT from NIfTI: LPS (-1, -1, 1).
    const grid = volume([
      [-1, 0, 0],
      [0, -1, 0],
      [0, 0, 1],
    ]);
    expect(grid.toWorld([2, 3, 4])).toEqual([-12 - 1.6, 30 - 3.3000000000000003, 17]);
  });

  it("lifts a picture to a volume of one slice", () => {
    const grid = new Geometry({
      shape: [4, 9],
      spacing: [0.5, 0.25],
      origin: [1, 2],
      direction: [
        [1, 0],
        [0, 1],
      ],
      spacing_known: true,
    });
    expect(grid.size).toEqual([9, 4, 1]);
    expect(grid.toWorld([2, 2, 0])).toEqual([2, 2.5, 0]);
  });

  it("names directions by the patient", () => {
    expect(orientationLetters([1, 0, 0])).toBe("L");
    expect(orientationLetters([0, -1, 0])).toBe("A");
    expect(orientationLetters([-0.9, 0.1, 0.42])).toBe("RS");
  });
});

describe("planes", () => {
  it("put the patient's left on the reader's right and the head up, however the file is stored", () => {
    for (const direction of allOrientations()) {
      const grid = volume(direction);
      expect(planeLetters(planeOf(grid, "axial"), grid)).toEqual({ left: "R", right: "L", top: "A", bottom: "P" });
      expect(planeLetters(planeOf(grid, "coronal"), grid)).toEqual({ left: "R", right: "L", top: "S", bottom: "I" });
      expect(planeLetters(planeOf(grid, "sagittal"), grid)).toEqual({ left: "A", right: "P", top: "S", bottom: "I" });
      expect(obliqueness(grid)).toBeCloseTo(0, 6);
    }
  });

  it("are inverse to the index, also where axes are turned", () => {
    for (const direction of [...allOrientations(), rotation([1, 1, 0], 33)])
      for (const name of PLANES) {
        const grid = volume(direction);
        const plane = planeOf(grid, name);
        const { u, v, slice } = indexToPlane(plane, grid, [1, 2.5, 3]);
        expect(planeToIndex(plane, grid, u, v, slice)).toEqual([1, 2.5, 3]);
      }
  });

  it("keep to the nearest axes when the scan is oblique", () => {
    const grid = volume(rotation([1, 0, 0], 30));
    expect(nearestAxes(grid)).toEqual([0, 1, 2]);
    expect(obliqueness(grid)).toBeCloseTo(30, 6);
    expect(planeLetters(planeOf(grid, "axial"), grid).bottom).toBe("PS");
  });

  it("of a picture are its rows and columns", () => {
    const grid = new Geometry({
      shape: [4, 9],
      spacing: [1, 1],
      origin: [0, 0],
      direction: [
        [1, 0],
        [0, 1],
      ],
      spacing_known: false,
    });
    expect(planeToIndex(planeOf(grid, "picture"), grid, 5, 2, 0)).toEqual([5, 2, 0]);
    expect(volume(IDENTITY).contains([4.4, 5.4, 6.4])).toBe(true);
    expect(volume(IDENTITY).contains([4.6, 0, 0])).toBe(false);
  });
});

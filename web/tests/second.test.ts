import { describe, expect, it } from "vitest";
import { Geometry, type Vec3 } from "../src/image/geometry";
import { type PlaneName, planeOf, planeSize, planeToIndex } from "../src/image/planes";
import { secondPixels, secondValues, valueAt } from "../src/image/second";
import { type Cut, cutSize } from "../src/image/slice";
import { allOrientations, IDENTITY, rotation, volume } from "./helpers";

const PLANES: PlaneName[] = ["axial", "coronal", "sagittal"];

/** A linear function of the world, which linear interpolation gives back exactly. */
const ramp = ([x, y, z]: Vec3): number => 3 + x - 2 * y + 0.5 * z;

function ramped(geometry: Geometry): {
  voxels: { size: Vec3; samples: Float32Array; colours: null };
  geometry: Geometry;
} {
  const [nx, ny, nz] = geometry.size;
  const samples = new Float32Array(nx * ny * nz);
  for (let z = 0, i = 0; z < nz; z++)
    for (let y = 0; y < ny; y++) for (let x = 0; x < nx; x++) samples[i++] = ramp(geometry.toWorld([x, y, z]));
  return { voxels: { size: geometry.size, samples, colours: null }, geometry };
}

describe("a second image", () => {
  it("is seen where its place in the world is, on every plane of any two grids", () => {
    for (const direction of allOrientations()) {
      const first = volume(direction);
      const centre = first.toWorld([2.5, 2.5, 3]);
      const turned = rotation([1, 2, 0.5], 25);
      const grid = new Geometry({
        shape: [6, 7, 8],
        spacing: [1.3, 1.1, 1.7],
        origin: centre.map((c, row) => c - turned[row][0] * 4.5 - turned[row][1] * 3.3 - turned[row][2] * 4.2),
        direction: turned,
        spacing_known: true,
      });
      const second = ramped(grid);
      let seen = 0;
      for (const name of PLANES) {
        const plane = planeOf(first, name);
        const [width, height] = planeSize(plane, first);
        const cut: Cut = { u0: 1, v0: 0, u1: width, v1: height, step: 2 };
        const values = secondValues(second, first, plane, cut, 2);
        const [columns] = cutSize(cut);
        for (let v = cut.v0; v < cut.v1; v += 2)
          for (let u = cut.u0; u < cut.u1; u += 2) {
            const index = planeToIndex(plane, first, u, v, 2);
            const value = values[((v - cut.v0) / 2) * columns + (u - cut.u0) / 2];
            const there = grid.toIndex(first.toWorld(index));
            if (grid.contains(there)) expect(value).toBeCloseTo(valueAt(second, first, index), 3);
            if (there.every((at, axis) => at >= 0 && at <= grid.size[axis] - 1)) {
              expect(value).toBeCloseTo(ramp(first.toWorld(index)), 3);
              seen++;
            } else if (!grid.contains(there)) expect(value).toBeNaN();
          }
      }
      expect(seen).toBeGreaterThan(3);
    }
  });

  it("ends half a voxel beyond its outer voxels", () => {
    const grid = new Geometry({
      shape: [1, 1, 2],
      spacing: [1, 1, 1],
      origin: [0, 0, 0],
      direction: IDENTITY,
      spacing_known: true,
    });
    const second = { voxels: { size: grid.size, samples: Float32Array.from([10, 20]), colours: null }, geometry: grid };
    const at = (x: number): number => valueAt(second, grid, [x, 0, 0]);
    expect([at(-0.5), at(0), at(0.25), at(1), at(1.49)]).toEqual([10, 10, 12.5, 20, 20]);
    expect([at(-0.51), at(1.5)]).toEqual([Number.NaN, Number.NaN]);
  });

  it("comes in over the first quarter of its window as an overlay in colours, and is opaque by itself", () => {
    const values = Float32Array.from([-5, 0, 12.5, 50, 100, 400, Number.NaN]);
    const window = { level: 50, width: 100 };
    const alphas = (pixels: Uint32Array): number[] => [...pixels].map((pixel) => pixel >>> 24);
    expect(alphas(secondPixels(values, window, "hot", true))).toEqual([0, 0, 128, 255, 255, 255, 0]);
    expect(alphas(secondPixels(values, window, "hot", false))).toEqual([255, 255, 255, 255, 255, 255, 0]);
    expect(alphas(secondPixels(values, window, "grey", true))).toEqual([255, 255, 255, 255, 255, 255, 0]);
    const [, black, , middle, white] = secondPixels(values, window, "hot", false);
    expect([black, white]).toEqual([0xff000000, 0xffffffff]);
    // Red before green before blue.
    expect(middle & 255).toBe(255);
    expect((middle >> 8) & 255).toBeGreaterThan(0);
    expect((middle >> 16) & 255).toBe(0);
  });
});

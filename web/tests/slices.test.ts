import { describe, expect, it } from "vitest";
import type { Vec3 } from "../src/image/geometry";
import { type PlaneName, planeOf, planeSize, planeToIndex } from "../src/image/planes";
import { niftiOf, reducedGrey, reducedLabels, reductionOf } from "../src/image/reduce";
import { type Cut, contours, cutSize, imagePixels, labelledRectangle, labelPixels } from "../src/image/slice";
import { type Voxels, voxelsOfNifti } from "../src/image/voxels";
import { type Colourer, colourer, draggedWindow, greyOf } from "../src/image/window";
import { LabelVolume } from "../src/masks/labels";
import { fitted, Projection, zoomed } from "../src/views/camera";
import { allOrientations, IDENTITY, rotation, volume } from "./helpers";

const PLANES: PlaneName[] = ["axial", "coronal", "sagittal"];

/** Each voxel's own number as its colour. */
const PLAIN: Colourer = { table: null, offset: 0, of: (value) => value };

/** Each voxel holds its own number. */
function numbered(size: Vec3): Voxels {
  return { size, samples: Int16Array.from({ length: size[0] * size[1] * size[2] }, (_, i) => i), colours: null };
}

describe("slices", () => {
  it("show at each pixel the voxel that a click there means", () => {
    for (const direction of allOrientations()) {
      const grid = volume(direction);
      const voxels = numbered(grid.size);
      for (const name of PLANES) {
        const plane = planeOf(grid, name);
        const [width, height] = planeSize(plane, grid);
        const cut: Cut = { u0: 1, v0: 2, u1: width, v1: height, step: 1 };
        const pixels = imagePixels(voxels, plane, cut, 3, PLAIN);
        const [columns] = cutSize(cut);
        for (let v = cut.v0; v < cut.v1; v++)
          for (let u = cut.u0; u < cut.u1; u++) {
            const [x, y, z] = planeToIndex(plane, grid, u, v, 3);
            expect(pixels[(v - cut.v0) * columns + u - cut.u0]).toBe((z * grid.size[1] + y) * grid.size[0] + x);
          }
      }
    }
  });

  it("cut labels as they cut the image", () => {
    const grid = volume(rotation([1, 0, 0], 20));
    const plane = planeOf(grid, "sagittal");
    const [width, height] = planeSize(plane, grid);
    const cut: Cut = { u0: 0, v0: 0, u1: width, v1: height, step: 2 };
    const labels = new LabelVolume(grid.size);
    labels.data = Uint16Array.from(numbered(grid.size).samples);
    expect([...labelPixels(labels, plane, cut, 2)]).toEqual([
      ...imagePixels(numbered(grid.size), plane, cut, 2, PLAIN),
    ]);
  });

  it("outline objects on the grid between pixels", () => {
    // A block of two by one in a field of four by three.
    const labels = Uint16Array.from([0, 0, 0, 0, 0, 7, 7, 0, 0, 0, 0, 0]);
    const within = { left: 1, top: 1, right: 3, bottom: 2 };
    expect(labelledRectangle(labels, 4, 3)).toEqual(within);
    expect(labelledRectangle(new Uint16Array(12), 4, 3)).toBeNull();
    const edges = contours(labels, 4, 3, within);
    expect(edges).toHaveLength(4);
    expect(edges).toContainEqual({ label: 7, u0: 1, v0: 1, u1: 3, v1: 1 });
    expect(edges).toContainEqual({ label: 7, u0: 1, v0: 2, u1: 3, v1: 2 });
    expect(edges).toContainEqual({ label: 7, u0: 1, v0: 1, u1: 1, v1: 2 });
    expect(edges).toContainEqual({ label: 7, u0: 3, v0: 1, u1: 3, v1: 2 });
  });

  it("outline both of two objects that touch", () => {
    const labels = contours(Uint16Array.from([1, 2]), 2, 1, { left: 0, top: 0, right: 2, bottom: 1 }).map(
      (edge) => edge.label,
    );
    expect(labels.sort()).toEqual([1, 2]);
  });
});

describe("windows", () => {
  it("map the ends to black and white and the level to the middle", () => {
    const window = { level: 40, width: 400 };
    expect([greyOf(-160, window), greyOf(40, window), greyOf(240, window), greyOf(5000, window)]).toEqual([
      0, 128, 255, 255,
    ]);
  });

  it("are the same by table and by arithmetic", () => {
    const window = { level: 10, width: 77 };
    const byTable = colourer(new Int16Array(), window);
    const byArithmetic = colourer(new Float32Array(), window);
    for (let value = -60; value < 80; value++) expect(byTable.of(value)).toBe(byArithmetic.of(value));
  });

  it("never collapse while they are dragged", () => {
    expect(draggedWindow({ level: 0, width: 10 }, -50, 0, 100).width).toBeGreaterThan(0);
    expect(draggedWindow({ level: 0, width: 100 }, 0.5, 0.25, 1000)).toEqual({ width: 200, level: 50 });
  });
});

describe("cameras", () => {
  const grid = volume(IDENTITY, [30, 60, 50]);
  const plane = planeOf(grid, "coronal");

  it("come back from the screen, and keep millimetres square", () => {
    const projection = new Projection({ u: 20, v: 12, zoom: 3 }, plane, grid, 400, 300);
    const [u, v] = projection.toSlice(...projection.toScreen(7.25, 3.5));
    expect(u).toBeCloseTo(7.25);
    expect(v).toBeCloseTo(3.5);
    expect(projection.scaleU / grid.spacing[plane.right]).toBeCloseTo(projection.scaleV / grid.spacing[plane.down]);
  });

  it("keep the place under the pointer while zooming", () => {
    const before = new Projection(fitted(plane, grid), plane, grid, 400, 300);
    const after = new Projection(zoomed(before, 2, 120, 80), plane, grid, 400, 300);
    after.toSlice(120, 80).forEach((value, i) => expect(value).toBeCloseTo(before.toSlice(120, 80)[i]));
  });

  it("cut what is in sight and nothing outside the slice", () => {
    const cut = new Projection(fitted(plane, grid), plane, grid, 400, 300).visible(1);
    expect([cut.u0, cut.v0, cut.u1, cut.v1, cut.step]).toEqual([0, 0, 50, 30, 1]);
    const near = new Projection({ u: 25, v: 15, zoom: 20 }, plane, grid, 400, 300).visible(1);
    expect(near.u0).toBeGreaterThan(15);
    expect(near.u1).toBeLessThan(35);
  });

  it("take every n-th voxel of a picture larger than the screen", () => {
    const large = volume(IDENTITY, [4, 6000, 8000], [1, 1, 1]);
    const axial = planeOf(large, "axial");
    expect(new Projection(fitted(axial, large), axial, large, 800, 600).visible(1).step).toBe(10);
  });
});

describe("the small copy for the rendering", () => {
  it("is in RAS order and lies where the volume lies", () => {
    for (const direction of [...allOrientations(), rotation([2, 1, 1], 21)]) {
      const grid = volume(direction);
      const reduction = reductionOf(grid, 100);
      const grey = reducedGrey({ ...numbered(grid.size) }, reduction, { level: 105, width: 210 });
      const small: Vec3 = [1, 2, 3];
      const [right, anterior, superior] = reduction.affine.map(
        (row) => row[0] * small[0] + row[1] * small[1] + row[2] * small[2] + row[3],
      );
      const [x, y, z] = grid.toIndex([-right, -anterior, superior]).map(Math.round);
      const value = (z * grid.size[1] + y) * grid.size[0] + x;
      expect(grey[(small[2] * reduction.size[1] + small[1]) * reduction.size[0] + small[0]]).toBe(
        greyOf(value, { level: 105, width: 210 }),
      );
      // Each axis of the copy runs along the world's.
      for (let k = 0; k < 3; k++) expect(reduction.affine[k][k]).toBeGreaterThan(0);
    }
  });

  it("keeps small objects, and numbers them by rank", () => {
    const grid = volume(IDENTITY, [8, 8, 8], [1, 1, 1]);
    const labels = new LabelVolume(grid.size);
    labels.paste({ low: [2, 2, 2], high: [4, 4, 4] }, new Uint8Array(8).fill(5));
    const small = reducedLabels(labels, reductionOf(grid, 4), [9, 5]);
    expect(small.filter((value) => value === 2).length).toBe(1);
    expect(small.filter((value) => value !== 0 && value !== 2).length).toBe(0);
  });

  it("is a NIfTI file that is read again", () => {
    const grid = volume(IDENTITY);
    const reduction = reductionOf(grid, 100);
    const values = Uint8Array.from({ length: 210 }, (_, i) => i);
    expect([...voxelsOfNifti(niftiOf(values, reduction), reduction.size).samples]).toEqual([...values]);
  });
});

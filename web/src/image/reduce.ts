/** A small copy of a volume in RAS order, for the 3D rendering: NiiVue then has nothing to turn round. */

import type { LabelVolume } from "../masks/labels";
import type { Geometry, Vec3 } from "./geometry";
import { nearestAxes } from "./planes";
import type { Voxels } from "./voxels";
import { type DisplayWindow, greyOf } from "./window";

/** How the small grid samples the large one: small axis k runs along the world's R, A, S. */
export interface Reduction {
  size: Vec3;
  /** Axis of the array for each axis of the small grid, whether it runs against its index, and every how manyth voxel. */
  axes: { axis: number; flip: boolean; step: number }[];
  /** From index of the small grid to RAS mm, rows of 4. */
  affine: [number, number, number, number][];
}

/** At most `largest` samples along each axis. */
export function reductionOf(geometry: Geometry, largest: number): Reduction {
  const toRas = [-1, -1, 1];
  const axes = nearestAxes(geometry).map((axis, world) => ({
    axis,
    flip: geometry.columns[axis][world] * toRas[world] < 0,
    step: Math.ceil(geometry.size[axis] / largest),
  }));
  const size = axes.map(({ axis, step }) => Math.ceil(geometry.size[axis] / step)) as Vec3;
  const first: Vec3 = [0, 0, 0];
  for (const { axis, flip, step } of axes)
    first[axis] = flip ? geometry.size[axis] - 1 - (step - 1) / 2 : (step - 1) / 2;
  const origin = geometry.toWorld(first);
  const affine = [0, 1, 2].map((row) => [
    ...axes.map(
      ({ axis, flip, step }) =>
        toRas[row] * geometry.columns[axis][row] * geometry.spacing[axis] * step * (flip ? -1 : 1),
    ),
    toRas[row] * origin[row],
  ]) as [number, number, number, number][];
  return { size, axes, affine };
}

/** Calls back with the index in the large array for each voxel of the small one, x fastest. */
function eachSample(reduction: Reduction, size: Vec3, visit: (small: number, large: number) => void, shift = 0): void {
  const stride: Vec3 = [1, size[0], size[0] * size[1]];
  const starts = reduction.axes.map(({ axis, flip, step }, k) =>
    Array.from({ length: reduction.size[k] }, (_, i) => {
      const along = Math.min(size[axis] - 1, i * step + Math.min(shift, step - 1));
      return (flip ? size[axis] - 1 - along : along) * stride[axis];
    }),
  );
  let small = 0;
  for (const z of starts[2]) for (const y of starts[1]) for (const x of starts[0]) visit(small++, x + y + z);
}

/** The volume through the display window, 0..255. */
export function reducedGrey(voxels: Voxels, reduction: Reduction, window: DisplayWindow): Uint8Array {
  const result = new Uint8Array(reduction.size[0] * reduction.size[1] * reduction.size[2]);
  const { samples } = voxels;
  eachSample(reduction, voxels.size, (small, large) => {
    result[small] = greyOf(samples[large], window);
  });
  return result;
}

/** The labels, as ranks 1..255 in the order of `ids`; of each block its first and its middle voxel are looked at. */
export function reducedLabels(labels: LabelVolume, reduction: Reduction, ids: number[]): Uint8Array {
  const ranks = new Uint8Array(65536);
  ids.slice(0, 255).forEach((id, i) => (ranks[id] = i + 1));
  const result = new Uint8Array(reduction.size[0] * reduction.size[1] * reduction.size[2]);
  const { data } = labels;
  const shifts = new Set([0, ...reduction.axes.map(({ step }) => step >> 1)]);
  for (const shift of shifts)
    eachSample(
      reduction,
      labels.size,
      (small, large) => {
        if (result[small] === 0) result[small] = ranks[data[large]];
      },
      shift,
    );
  return result;
}

/** A NIfTI-1 file of uint8 in memory. */
export function niftiOf(values: Uint8Array, reduction: Reduction): ArrayBuffer {
  const buffer = new ArrayBuffer(352 + values.length);
  const view = new DataView(buffer);
  view.setInt32(0, 348, true);
  [3, ...reduction.size, 1, 1, 1, 1].forEach((n, i) => view.setInt16(40 + 2 * i, n, true));
  view.setInt16(70, 2, true);
  view.setInt16(72, 8, true);
  const spacing = [0, 1, 2].map((k) => Math.hypot(...reduction.affine.map((row) => row[k])));
  [1, ...spacing, 0, 0, 0, 0].forEach((mm, i) => view.setFloat32(76 + 4 * i, mm, true));
  view.setFloat32(108, 352, true);
  view.setFloat32(112, 1, true);
  view.setUint8(123, 2);
  view.setInt16(254, 1, true);
  reduction.affine.flat().forEach((value, i) => view.setFloat32(280 + 4 * i, value, true));
  view.setUint32(344, 0x6e2b3100);
  new Uint8Array(buffer).set(values, 352);
  return buffer;
}

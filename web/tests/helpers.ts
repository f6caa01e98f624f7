import { Geometry, type Vec3 } from "../src/image/geometry";

/** A rotation about an axis through the origin, by columns. */
export function rotation(axis: Vec3, degrees: number): number[][] {
  const length = Math.hypot(...axis);
  const [x, y, z] = axis.map((value) => value / length);
  const angle = (degrees * Math.PI) / 180;
  const c = Math.cos(angle);
  const s = Math.sin(angle);
  const t = 1 - c;
  return [
    [t * x * x + c, t * x * y - s * z, t * x * z + s * y],
    [t * x * y + s * z, t * y * y + c, t * y * z - s * x],
    [t * x * z - s * y, t * y * z + s * x, t * z * z + c],
  ];
}

export function volume(direction: number[][], shape = [7, 6, 5], spacing = [0.8, 1.1, 2.5]): Geometry {
  return new Geometry({ shape, spacing, origin: [-12, 30, 7], direction, spacing_known: true });
}

export const IDENTITY = [
  [1, 0, 0],
  [0, 1, 0],
  [0, 0, 1],
];

/** All 48 ways in which axes can be swapped and flipped. */
export function allOrientations(): number[][][] {
  const orders = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ];
  const signs = [1, -1];
  return orders.flatMap((order) =>
    signs.flatMap((a) =>
      signs.flatMap((b) =>
        signs.map((c) => IDENTITY.map((_, row) => order.map((world, axis) => (world === row ? [a, b, c][axis] : 0)))),
      ),
    ),
  );
}

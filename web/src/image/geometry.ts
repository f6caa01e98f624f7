/** The grid of an image in the world: LPS millimetres, coordinates (x, y, z), as in `bedside.core.geometry`. */

export type Vec3 = [number, number, number];

export interface GeometryRecord {
  /** Array order: (z, y, x) or (y, x). */
  shape: number[];
  /** (x, y[, z]) in mm. */
  spacing: number[];
  origin: number[];
  /** Rows of the matrix whose columns are the directions of the axes x, y[, z]. */
  direction: number[][];
  spacing_known: boolean;
}

/** A grid of two or three axes, lifted to three: a picture is a volume of one slice. */
export class Geometry {
  readonly size: Vec3;
  readonly spacing: Vec3;
  readonly origin: Vec3;
  /** columns[axis] is the unit vector of that axis in the world. */
  readonly columns: [Vec3, Vec3, Vec3];
  readonly ndim: 2 | 3;
  readonly spacingKnown: boolean;
  private readonly inverse: [Vec3, Vec3, Vec3];

  constructor(record: GeometryRecord) {
    const n = record.shape.length;
    this.ndim = n === 3 ? 3 : 2;
    const [sx, sy, sz] = [...record.shape].reverse();
    this.size = [sx, sy, sz ?? 1];
    this.spacing = [record.spacing[0], record.spacing[1], record.spacing[2] ?? 1];
    this.origin = [record.origin[0], record.origin[1], record.origin[2] ?? 0];
    const d = record.direction;
    this.columns =
      this.ndim === 3
        ? [
            [d[0][0], d[1][0], d[2][0]],
            [d[0][1], d[1][1], d[2][1]],
            [d[0][2], d[1][2], d[2][2]],
          ]
        : [
            [d[0][0], d[1][0], 0],
            [d[0][1], d[1][1], 0],
            [0, 0, 1],
          ];
    this.spacingKnown = record.spacing_known;
    this.inverse = invertColumns(this.columns);
  }

  /** World mm (LPS) of a continuous index. */
  toWorld(index: Vec3): Vec3 {
    const result: Vec3 = [...this.origin];
    for (let axis = 0; axis < 3; axis++) {
      const length = index[axis] * this.spacing[axis];
      for (let k = 0; k < 3; k++) result[k] += this.columns[axis][k] * length;
    }
    return result;
  }

  /** Continuous index of a place in the world, by the inverse of the matrix: directions are orthonormal to a few digits only. */
  toIndex(world: Vec3): Vec3 {
    const offset: Vec3 = [world[0] - this.origin[0], world[1] - this.origin[1], world[2] - this.origin[2]];
    return [0, 1, 2].map((axis) => dot(this.inverse[axis], offset) / this.spacing[axis]) as Vec3;
  }

  /** Half a voxel beyond the centres belongs to the image. */
  contains(index: Vec3): boolean {
    return index.every((value, axis) => value >= -0.5 && value < this.size[axis] - 0.5);
  }

  get voxelMillilitres(): number {
    return (this.spacing[0] * this.spacing[1] * this.spacing[2]) / 1000;
  }

  get centre(): Vec3 {
    return this.size.map((n) => Math.floor((n - 1) / 2)) as Vec3;
  }
}

export function dot(a: Vec3, b: Vec3): number {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/** Rows of the inverse of the matrix with these columns. */
function invertColumns([a, b, c]: [Vec3, Vec3, Vec3]): [Vec3, Vec3, Vec3] {
  const bc = cross(b, c);
  const ca = cross(c, a);
  const ab = cross(a, b);
  const determinant = dot(a, bc);
  const scale = (v: Vec3): Vec3 => [v[0] / determinant, v[1] / determinant, v[2] / determinant];
  return [scale(bc), scale(ca), scale(ab)];
}

function cross(a: Vec3, b: Vec3): Vec3 {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

const LETTERS: [string, string][] = [
  ["L", "R"],
  ["P", "A"],
  ["S", "I"],
];

/** The letters of a direction in the world, the strongest first: "L", or "LA" where it is oblique by more than 15 degrees. */
export function orientationLetters(direction: Vec3): string {
  const parts = direction
    .map((value, axis) => ({ size: Math.abs(value), letter: LETTERS[axis][value > 0 ? 0 : 1] }))
    .filter((part) => part.size > Math.sin((15 * Math.PI) / 180))
    .sort((a, b) => b.size - a.size);
  return parts.map((part) => part.letter).join("");
}

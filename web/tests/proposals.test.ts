import { describe, expect, it } from "vitest";
import type { Found } from "../src/state/app";
import { accepted, kindOf, shown } from "../src/state/proposals";

const box = { start: [0, 0], stop: [1, 1] };
const found: Found = {
  all: [0.9, 0.5, 0.3].map((score, place) => ({ proposal: place + 1, score, voxels: 4, box })),
  threshold: 0.5,
  dropped: [1, 3],
  at: null,
};

describe("proposals", () => {
  it("shows those that are alike enough, and accepts those that nobody dropped", () => {
    expect(shown(found).map(({ proposal }) => proposal)).toEqual([1, 2]);
    expect(accepted(found).map(({ proposal }) => proposal)).toEqual([2]);
    expect(accepted({ ...found, threshold: 0.1 }).map(({ proposal }) => proposal)).toEqual([2]);
    expect(accepted({ ...found, threshold: 0.95 })).toEqual([]);
  });

  it("names a kind after an object", () => {
    expect(kindOf("object 1")).toBe("object");
    expect(kindOf("cell_12")).toBe("cell");
    expect(kindOf("left kidney")).toBe("left kidney");
    expect(kindOf("12")).toBe("12");
  });
});

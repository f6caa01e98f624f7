import { describe, expect, it } from "vitest";
import { decodeBits, decodeLabels, deflate, encodeBits, packBits, toBase64, unpackBits } from "../src/masks/bits";
import { LabelVolume } from "../src/masks/labels";
import { ObjectMask } from "../src/masks/object_mask";
import { boxOf, intersect, type Region, regionCount, regionOf, union } from "../src/masks/region";

const pattern = (n: number): Uint8Array => Uint8Array.from({ length: n }, (_, i) => ((i * 7919) >> 3) & 1);

describe("bits", () => {
  it("are packed as NumPy packs them: the first voxel in the highest bit", () => {
    expect([...packBits(Uint8Array.from([1, 0, 0, 0, 0, 0, 0, 0, 1, 1]))]).toEqual([0x80, 0xc0]);
  });

  it("come back for every length", () => {
    for (let n = 0; n < 40; n++) expect(unpackBits(packBits(pattern(n)), n)).toEqual(pattern(n));
  });

  it("of the wrong length are rejected", () => {
    expect(() => unpackBits(new Uint8Array(2), 17)).toThrow();
  });

  it("survive deflate and base64", async () => {
    const mask = pattern(100_003);
    expect(await decodeBits(await encodeBits(mask), mask.length)).toEqual(mask);
  });

  it("as zlib and NumPy wrote them are read", async () => {
    // base64(zlib.compress(numpy.packbits([0, 1, 1, 0, 1]).tobytes()))
    expect([...(await decodeBits("eJzLAAAAaQBp", 5))]).toEqual([0, 1, 1, 0, 1]);
  });

  it("as labels of two bytes are little endian", async () => {
    const text = toBase64(await deflate(Uint8Array.from([1, 0, 0, 1])));
    expect([...(await decodeLabels(text, "uint16", 2))]).toEqual([1, 256]);
    await expect(decodeLabels(text, "uint8", 3)).rejects.toThrow();
  });
});

describe("regions", () => {
  const a: Region = { low: [1, 2, 3], high: [4, 5, 6] };
  const b: Region = { low: [3, 0, 5], high: [9, 3, 7] };

  it("turn array order round", () => {
    expect(regionOf({ start: [3, 2, 1], stop: [6, 5, 4] })).toEqual(a);
    expect(boxOf(a, 3)).toEqual({ start: [3, 2, 1], stop: [6, 5, 4] });
    expect(regionOf({ start: [2, 1], stop: [5, 4] })).toEqual({ low: [1, 2, 0], high: [4, 5, 1] });
    expect(boxOf({ low: [1, 2, 0], high: [4, 5, 1] }, 2)).toEqual({ start: [2, 1], stop: [5, 4] });
  });

  it("unite and intersect", () => {
    expect(union(a, b)).toEqual({ low: [1, 0, 3], high: [9, 5, 7] });
    expect(intersect(a, b)).toEqual({ low: [3, 2, 5], high: [4, 3, 6] });
    expect(regionCount(intersect(a, { low: [4, 5, 6], high: [9, 9, 9] }))).toBe(0);
  });
});

describe("labels", () => {
  it("take a box and nothing around it", () => {
    const labels = new LabelVolume([4, 3, 2]);
    labels.paste({ low: [1, 1, 1], high: [3, 3, 2] }, Uint8Array.from([1, 2, 3, 4]));
    expect(labels.at([1, 1, 1])).toBe(1);
    expect(labels.at([2, 1, 1])).toBe(2);
    expect(labels.at([1, 2, 1])).toBe(3);
    expect(labels.at([2, 2, 1])).toBe(4);
    expect([...labels.data].reduce((sum, value) => sum + value, 0)).toBe(10);
  });

  it("widen when numbers of objects do", () => {
    const labels = new LabelVolume([2, 1, 1]);
    labels.paste({ low: [0, 0, 0], high: [1, 1, 1] }, Uint8Array.from([9]));
    labels.paste({ low: [1, 0, 0], high: [2, 1, 1] }, Uint16Array.from([300]));
    expect([...labels.data]).toEqual([9, 300]);
  });
});

describe("an object's mask", () => {
  it("grows with what is pasted and is cut anywhere", () => {
    const mask = new ObjectMask({ low: [2, 2, 0], high: [4, 4, 1] }, Uint8Array.from([1, 0, 0, 1]));
    mask.paste({ low: [3, 3, 0], high: [6, 5, 1] }, Uint8Array.from([0, 1, 1, 1, 0, 0]));
    expect([...mask.cut({ low: [1, 1, 0], high: [6, 5, 1] })]).toEqual([
      0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0,
    ]);
  });

  it("is zero where nothing is known", () => {
    const mask = new ObjectMask({ low: [0, 0, 0], high: [0, 0, 0] }, new Uint8Array());
    expect([...mask.cut({ low: [0, 0, 0], high: [2, 1, 1] })]).toEqual([0, 0]);
  });
});

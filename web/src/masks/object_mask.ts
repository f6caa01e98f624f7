/** One object's own mask, which the brush needs: the label map does not hold what lies beneath another object. */

import { eachRow, intersect, type Region, regionCount, union } from "./region";

export class ObjectMask {
  private data: Uint8Array;

  constructor(
    private region: Region,
    mask: Uint8Array,
  ) {
    this.data = mask;
  }

  /** 0/1 of the region, a copy; zero where nothing is known. */
  cut(region: Region): Uint8Array {
    const result = new Uint8Array(regionCount(region));
    const common = intersect(region, this.region);
    if (regionCount(common) === 0) return result;
    const rows: number[] = [];
    eachRow(this.region, common, (start) => rows.push(start));
    let row = 0;
    eachRow(region, common, (start, _, length) => {
      const source = rows[row++];
      result.set(this.data.subarray(source, source + length), start);
    });
    return result;
  }

  /** Replaces the voxels of the region; the mask grows to hold it. */
  paste(region: Region, mask: Uint8Array): void {
    const whole = union(this.region, region);
    if (regionCount(whole) !== regionCount(this.region)) {
      this.data = this.cut(whole);
      this.region = whole;
    }
    eachRow(whole, region, (target, source, length) => {
      this.data.set(mask.subarray(source, source + length), target);
    });
  }
}

/** Who is seen at each voxel of the image: written by the server's patches, read by the views. */

import type { Vec3 } from "../image/geometry";
import { eachRow, type Region, regionCount } from "./region";

let made = 0;

export class LabelVolume {
  /** Tells volumes apart, whose versions begin again. */
  readonly serial = ++made;
  /** Numbers of objects, x fastest. */
  data: Uint8Array | Uint16Array;
  readonly whole: Region;
  /** The smallest region known to hold all that is not zero. */
  private revision = 0;

  constructor(readonly size: Vec3) {
    this.whole = { low: [0, 0, 0], high: [...size] };
    this.data = new Uint8Array(regionCount(this.whole));
  }

  /** Counts the changes. */
  get version(): number {
    return this.revision;
  }

  paste(region: Region, labels: Uint8Array | Uint16Array): void {
    if (labels instanceof Uint16Array && this.data instanceof Uint8Array) this.data = Uint16Array.from(this.data);
    eachRow(this.whole, region, (target, source, length) => {
      this.data.set(labels.subarray(source, source + length), target);
    });
    this.revision++;
  }

  /** Everything zero, but for the region. */
  replace(region: Region, labels: Uint8Array | Uint16Array): void {
    this.data.fill(0);
    this.paste(region, labels);
  }

  at(index: Vec3): number {
    const [x, y, z] = index;
    return this.data[(z * this.size[1] + y) * this.size[0] + x];
  }
}

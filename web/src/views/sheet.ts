/** Pixels of a cut, kept off the screen. */

import { type Cut, cutSize } from "../image/slice";
import type { Projection } from "./camera";

/** A canvas off the screen that holds the pixels of a cut. */
export class Sheet {
  private readonly canvas = document.createElement("canvas");
  private key = "";

  update(key: string, cut: Cut, pixels: () => Uint32Array<ArrayBuffer>): void {
    if (key === this.key) return;
    this.key = key;
    const [width, height] = cutSize(cut);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    const data = new ImageData(new Uint8ClampedArray(pixels().buffer), width, height);
    this.canvas.getContext("2d", { willReadFrequently: true })?.putImageData(data, 0, 0);
  }

  draw(context: CanvasRenderingContext2D, projection: Projection, cut: Cut, smooth: boolean): void {
    const [width, height] = cutSize(cut);
    const [x, y] = projection.toScreen(cut.u0 - 0.5, cut.v0 - 0.5);
    context.imageSmoothingEnabled = smooth;
    context.imageSmoothingQuality = "low";
    context.drawImage(this.canvas, x, y, width * cut.step * projection.scaleU, height * cut.step * projection.scaleV);
  }
}

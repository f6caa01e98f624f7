/** The second image over the first, or in a view of its own. */

import type { On } from "../api/messages";
import type { Workplace } from "../app/workplace";
import { type ColourMap, secondPixels, secondValues } from "../image/second";
import type { DisplayWindow } from "../image/window";
import type { Surface } from "./painter";
import { Sheet } from "./sheet";

/** The second image, resampled where it is seen. */
export class SecondLayer {
  private readonly sheet = new Sheet();
  private key = "";
  private values: Float32Array = new Float32Array();

  paint(
    context: CanvasRenderingContext2D,
    { second, geometry }: Workplace,
    { plane, slice, cut, where, projection }: Omit<Surface, "context">,
    { window, colours, opacity, shows }: { window: DisplayWindow; colours: ColourMap; opacity: number; shows: On },
  ): void {
    if (!second) return;
    const key = `${where},${serialOf(second)}`;
    if (key !== this.key) {
      this.key = key;
      this.values = secondValues(second, geometry, plane, cut, slice);
    }
    this.sheet.update(`${key},${window.level},${window.width},${colours}`, cut, () =>
      secondPixels(this.values, window, colours, shows === "first"),
    );
    context.save();
    context.globalAlpha = opacity;
    this.sheet.draw(context, projection, cut, true);
    context.restore();
  }
}

const serials = new WeakMap<object, number>();
let serial = 0;

/** A number of its own for each second image. */
function serialOf(second: object): number {
  if (!serials.has(second)) serials.set(second, ++serial);
  return serials.get(second) ?? 0;
}

/** Puts a slice and the objects on it onto a canvas. */

import type { ObjectInfo, On } from "../api/messages";
import type { Workplace } from "../app/workplace";
import type { Plane } from "../image/planes";
import { type Cut, contours, cutSize, imagePixels, labelledRectangle, labelPixels } from "../image/slice";
import { colourer, type DisplayWindow } from "../image/window";
import type { LabelVolume } from "../masks/labels";
import type { Found, SecondLook } from "../state/app";
import { shown } from "../state/proposals";
import type { Projection } from "./camera";
import { SecondLayer } from "./second_layer";
import { Sheet } from "./sheet";

/**
 * Canvases that stay in memory: slices are small, and where the processor does a graphics card's work a round through it
 * costs a hundred times what the drawing does.
 */
export const IN_MEMORY: CanvasRenderingContext2DSettings = { alpha: false, willReadFrequently: true };

export interface Look {
  window: DisplayWindow;
  objects: ObjectInfo[];
  current: number | null;
  fill: number;
  masksShown: boolean;
  smooth: boolean;
  proposals: Found | null;
  second: SecondLook | null;
  secondOpacity: number;
}

export function rgb(colour: string): [number, number, number] {
  const value = Number.parseInt(colour.slice(1), 16);
  return [(value >> 16) & 255, (value >> 8) & 255, value & 255];
}

/** Pixels of the last cut, kept so that what did not change is not cut again. */
export class SlicePainter {
  private readonly image = new Sheet();
  private readonly second = new SecondLayer();
  private readonly objects = new Layer();
  private readonly proposals = new Layer();

  paint(
    context: CanvasRenderingContext2D,
    place: Workplace,
    plane: Plane,
    slice: number,
    projection: Projection,
    look: Look,
    shows: On,
  ): void {
    const { voxels } = place;
    if (!voxels) return;
    const cut = projection.visible(devicePixelRatio);
    if (cut.u1 <= cut.u0 || cut.v1 <= cut.v0) return;
    const where = [plane.name, slice, cut.u0, cut.v0, cut.u1, cut.v1, cut.step].join();
    if (shows === "first") {
      this.image.update(`${where},${look.window.level},${look.window.width}`, cut, () =>
        imagePixels(voxels, plane, cut, slice, colourer(voxels.samples, look.window)),
      );
      this.image.draw(context, projection, cut, look.smooth);
    }
    if (look.second && (shows === "second" || look.second.mode === "overlay")) {
      const { window, colours } = look.second;
      const opacity = shows === "second" ? 1 : look.secondOpacity;
      this.second.paint(context, place, { plane, slice, cut, where, projection }, { window, colours, opacity, shows });
    }
    const on = { context, plane, slice, projection, cut, where };
    if (look.masksShown) this.objects.paint(on, place.labels, look.objects, look.current, look.fill);
    if (look.proposals && place.proposals)
      this.proposals.paint(on, place.proposals, coloursOf(look.proposals), look.proposals.at, look.fill);
  }
}

const PROPOSED = "#22d3ee";
const DROPPED = "#9ca3af";

/** What is seen of proposals: those that the slider lets through, grey where they were dropped. */
function coloursOf(found: Found): Coloured[] {
  return shown(found).map(({ proposal }) => ({
    id: proposal,
    colour: found.dropped.includes(proposal) ? DROPPED : PROPOSED,
    faint: found.dropped.includes(proposal),
  }));
}

/** A number in a label volume, and how it is drawn. */
interface Coloured {
  id: number;
  colour: string;
  /** Its border alone. */
  faint?: boolean;
}

/** Where a layer is painted. */
export interface Surface {
  context: CanvasRenderingContext2D;
  plane: Plane;
  slice: number;
  projection: Projection;
  cut: Cut;
  where: string;
}

/** Masks over the picture: filled, with their borders. */
class Layer {
  private readonly fill = new Sheet();
  private borders: { key: string; paths: Map<number, Path2D> } = { key: "", paths: new Map() };

  paint(on: Surface, labels: LabelVolume, drawn: Coloured[], current: number | null, fill: number): void {
    const { context, plane, slice, projection, cut, where } = on;
    const key = `${where},${labels.serial},${labels.version},${drawn.map((o) => `${o.id}${o.colour}`).join()}`;
    if (key !== this.borders.key) {
      const pixels = labelPixels(labels, plane, cut, slice);
      const [width, height] = cutSize(cut);
      this.borders = { key, paths: bordersOf(pixels, width, height) };
      if (this.borders.paths.size > 0) this.fill.update(key, cut, () => fillPixels(pixels, drawn));
    }
    if (this.borders.paths.size === 0) return;
    context.save();
    context.globalAlpha = fill;
    this.fill.draw(context, projection, cut, false);
    context.restore();
    this.strokeBorders(on, drawn, current);
  }

  private strokeBorders({ context, projection, cut }: Surface, drawn: Coloured[], current: number | null): void {
    const [x, y] = projection.toScreen(cut.u0 - 0.5, cut.v0 - 0.5);
    const scale = new DOMMatrix([projection.scaleU * cut.step, 0, 0, projection.scaleV * cut.step, x, y]);
    for (const object of drawn) {
      const path = this.borders.paths.get(object.id);
      if (!path) continue;
      const placed = new Path2D();
      placed.addPath(path, scale);
      context.strokeStyle = object.colour;
      context.lineWidth = object.id === current ? 2 : 1;
      context.stroke(placed);
    }
  }
}

/** The borders by object. */
function bordersOf(pixels: Uint16Array, width: number, height: number): Map<number, Path2D> {
  const paths = new Map<number, Path2D>();
  const within = labelledRectangle(pixels, width, height);
  if (!within) return paths;
  for (const edge of contours(pixels, width, height, within)) {
    let path = paths.get(edge.label);
    if (!path) {
      path = new Path2D();
      paths.set(edge.label, path);
    }
    path.moveTo(edge.u0, edge.v0);
    path.lineTo(edge.u1, edge.v1);
  }
  // An object that fills all that is in sight has no border there, and is seen all the same.
  if (paths.size === 0) paths.set(pixels[within.top * width + within.left], new Path2D());
  return paths;
}

function fillPixels(pixels: Uint16Array, objects: Coloured[]): Uint32Array<ArrayBuffer> {
  const table = new Uint32Array(objects.reduce((largest, object) => Math.max(largest, object.id), 0) + 1);
  for (const object of objects) {
    if (object.faint) continue;
    const [red, green, blue] = rgb(object.colour);
    table[object.id] = ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
  }
  const result = new Uint32Array(pixels.length);
  for (let i = 0; i < pixels.length; i++) {
    const label = pixels[i];
    if (label < table.length) result[i] = table[label];
  }
  return result;
}

/** Tools that change the view and not the objects. */

import { type DisplayWindow, draggedWindow } from "../image/window";
import type { Camera } from "../views/camera";
import type { Pointer, Stage, Tool } from "./tool";

/** Drags the picture; a click sets the crosshair. */
export class MoveTool implements Tool {
  cursor = "grab";
  private from: { pointer: Pointer; camera: Camera } | null = null;
  private moved = false;

  down(stage: Stage, pointer: Pointer): void {
    this.from = { pointer, camera: stage.projection.camera };
    this.moved = false;
  }

  move(stage: Stage, pointer: Pointer): void {
    if (!this.from) return;
    const { pointer: start, camera } = this.from;
    const { scaleU, scaleV } = stage.projection;
    if (Math.hypot(pointer.x - start.x, pointer.y - start.y) > 3) this.moved = true;
    if (this.moved)
      stage.setCamera({
        ...camera,
        u: camera.u - (pointer.x - start.x) / scaleU,
        v: camera.v - (pointer.y - start.y) / scaleV,
      });
  }

  up(stage: Stage, pointer: Pointer): void {
    if (this.from && !this.moved && stage.place.geometry.contains(pointer.index)) stage.actions.goTo(pointer.index);
    this.from = null;
  }

  cancel(): void {
    this.from = null;
  }
}

/** Right widens the window, down raises its level; that of the image which the view shows. */
export class WindowTool implements Tool {
  cursor = "ns-resize";
  private from: { pointer: Pointer; window: DisplayWindow } | null = null;

  down(stage: Stage, pointer: Pointer): void {
    const { window, second } = stage.store.get();
    this.from = { pointer, window: second && stage.shows === "second" ? second.window : window };
  }

  move(stage: Stage, pointer: Pointer): void {
    const { image, second } = stage.store.get();
    if (!this.from || !image || image.colour) return;
    const shown = second && stage.shows === "second" ? second.info : image;
    const { pointer: start, window } = this.from;
    const { width, height } = stage.projection;
    const range = shown.range[1] - shown.range[0];
    const dragged = draggedWindow(window, (pointer.x - start.x) / width, (pointer.y - start.y) / height, range);
    if (stage.shows === "second") stage.actions.second.set({ window: dragged });
    else stage.store.set({ window: dragged });
  }

  up(): void {
    this.from = null;
  }

  cancel(): void {
    this.from = null;
  }
}

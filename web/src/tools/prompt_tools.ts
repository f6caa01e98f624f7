/** Tools whose gesture is a prompt: a point, a scribble, a lasso. */

import { toast } from "../ui/toast";
import { signColour, strokePath } from "../views/markers";
import { clamped, coordinates, type Pointer, type Stage, signOf, type Tool } from "./tool";

export class PointTool implements Tool {
  cursor = "crosshair";

  up(stage: Stage, pointer: Pointer, time: number): void {
    this.place(stage, pointer, signOf(stage.store.get(), pointer), time);
  }

  /** Also for the right button, which clicks with the other sign. */
  place(stage: Stage, pointer: Pointer, positive: boolean, time: number): void {
    if (!stage.place.geometry.contains(pointer.index)) return;
    stage.actions.goTo(pointer.index);
    stage.actions.prompt(
      { kind: "point", position: coordinates(stage.place, pointer.index), positive, frame: "index" },
      time,
    );
  }
}

/** A line drawn freehand. */
abstract class StrokeTool implements Tool {
  cursor = "crosshair";
  protected points: Pointer[] = [];
  private stage: Stage | null = null;

  down(stage: Stage, pointer: Pointer): void {
    this.stage = stage;
    this.points = [pointer];
    stage.redraw();
  }

  move(stage: Stage, pointer: Pointer): void {
    const last = this.points.at(-1);
    // Two points of the screen apart: closer ones say nothing new.
    if (!last || Math.hypot(pointer.x - last.x, pointer.y - last.y) < 2) return;
    this.points.push(pointer);
    stage.redraw();
  }

  up(stage: Stage, pointer: Pointer, time: number): void {
    const points = this.points;
    if (points.length === 0) return;
    const positive = signOf(stage.store.get(), pointer);
    this.cancel();
    this.finish(
      stage,
      points.map((point) => coordinates(stage.place, clamped(stage.place, point.index))),
      positive,
      time,
    );
  }

  cancel(): void {
    this.points = [];
    this.stage?.redraw();
    this.stage = null;
  }

  draw(stage: Stage, context: CanvasRenderingContext2D): void {
    if (stage.plane.name !== this.stage?.plane.name || this.points.length === 0) return;
    const path = this.points.map((point) => stage.projection.toScreen(point.u, point.v));
    const colour = signColour(signOf(stage.store.get(), this.points[this.points.length - 1]));
    strokePath(context, path, colour, { width: 2.5, closed: this.closed, fill: this.closed });
  }

  protected abstract readonly closed: boolean;
  protected abstract finish(stage: Stage, points: number[][], positive: boolean, time: number): void;
}

export class ScribbleTool extends StrokeTool {
  protected readonly closed = false;

  protected finish(stage: Stage, points: number[][], positive: boolean, time: number): void {
    stage.actions.prompt({ kind: "scribble", points, positive, frame: "index", connected: true, thickness: 2 }, time);
  }
}

export class LassoTool extends StrokeTool {
  protected readonly closed = true;

  protected finish(stage: Stage, points: number[][], positive: boolean, time: number): void {
    if (points.length < 3) toast("info", "Draw the lasso around the object: press, go round it, release.");
    else stage.actions.prompt({ kind: "lasso", points, positive, frame: "index" }, time);
  }
}

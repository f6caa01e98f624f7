/** Prompts drawn over a slice: where they are, their sign (by colour and by glyph), which one is meant. */

import type { Prompt, PromptInfo } from "../api/messages";
import type { Geometry, Vec3 } from "../image/geometry";
import { indexToPlane, type Plane } from "../image/planes";
import type { Projection } from "./camera";

export const POSITIVE = "#4ade80";
export const NEGATIVE = "#fb7185";
export const SUGGESTED = "#fbbf24";
const HALO = "rgba(0, 0, 0, 0.65)";

export function signColour(positive: boolean): string {
  return positive ? POSITIVE : NEGATIVE;
}

interface StrokeStyle {
  width: number;
  closed?: boolean;
  fill?: boolean;
  dashed?: boolean;
  handles?: boolean;
}

/** A line with a dark rim, to be seen on bright and dark. */
export function strokePath(
  context: CanvasRenderingContext2D,
  path: [number, number][],
  colour: string,
  style: StrokeStyle,
): void {
  if (path.length === 0) return;
  context.save();
  context.lineCap = context.lineJoin = "round";
  if (style.dashed) context.setLineDash([5, 5]);
  context.beginPath();
  context.moveTo(...path[0]);
  for (const point of path) context.lineTo(...point);
  if (style.closed) context.closePath();
  if (style.fill) {
    context.globalAlpha = 0.15;
    context.fillStyle = colour;
    context.fill();
    context.globalAlpha = 1;
  }
  context.lineWidth = style.width + 2;
  context.strokeStyle = HALO;
  context.stroke();
  context.lineWidth = style.width;
  context.strokeStyle = colour;
  context.stroke();
  context.restore();
}

export function strokeBox(
  context: CanvasRenderingContext2D,
  [left, top, right, bottom]: [number, number, number, number],
  colour: string,
  style: StrokeStyle,
): void {
  strokePath(
    context,
    [
      [left, top],
      [right, top],
      [right, bottom],
      [left, bottom],
    ],
    colour,
    { ...style, closed: true },
  );
  if (!style.handles) return;
  const midX = (left + right) / 2;
  const midY = (top + bottom) / 2;
  for (const [x, y] of [
    [left, midY],
    [right, midY],
    [midX, top],
    [midX, bottom],
  ]) {
    context.fillStyle = HALO;
    context.fillRect(x - 5, y - 5, 10, 10);
    context.fillStyle = colour;
    context.fillRect(x - 4, y - 4, 8, 8);
  }
}

function drawPoint(
  context: CanvasRenderingContext2D,
  x: number,
  y: number,
  positive: boolean,
  colour: string,
  strong: boolean,
): void {
  const radius = strong ? 8 : 6;
  context.beginPath();
  context.arc(x, y, radius + 1, 0, 2 * Math.PI);
  context.fillStyle = HALO;
  context.fill();
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = colour;
  context.fill();
  context.strokeStyle = "#0b0d0f";
  context.lineWidth = 2;
  context.beginPath();
  const arm = radius - 2.5;
  context.moveTo(x - arm, y);
  context.lineTo(x + arm, y);
  if (positive) {
    context.moveTo(x, y - arm);
    context.lineTo(x, y + arm);
  }
  context.stroke();
}

export interface Scene {
  geometry: Geometry;
  plane: Plane;
  slice: number;
  projection: Projection;
}

/** Whether any part of a prompt lies on a slice of a plane. */
export function onSlice(prompt: Prompt, through: number, slice: number): boolean {
  const near = (position: number[]): boolean => through >= position.length || Math.round(position[through]) === slice;
  switch (prompt.kind) {
    case "point":
      return near(prompt.position);
    case "box":
      return (
        through >= prompt.low.length ||
        (slice >= Math.ceil(prompt.low[through] - 0.5) && slice < prompt.high[through] - 0.5)
      );
    case "scribble":
    case "lasso":
      return prompt.points.every(near);
    case "mask":
      return false;
  }
}

/** A place that shows a prompt best: its middle. */
export function placeOf(prompt: Prompt): number[] | null {
  switch (prompt.kind) {
    case "point":
      return prompt.position;
    case "box":
      return prompt.low.map((low, axis) => (low + prompt.high[axis] - 1) / 2);
    case "scribble":
    case "lasso":
      return prompt.points[Math.floor(prompt.points.length / 2)];
    case "mask":
      return null;
  }
}

interface MarkerStyle {
  colour?: string;
  strong?: boolean;
  dashed?: boolean;
}

export function drawPrompt(
  context: CanvasRenderingContext2D,
  scene: Scene,
  prompt: Prompt,
  style: MarkerStyle = {},
): void {
  const { geometry, plane, projection } = scene;
  if (prompt.kind === "mask") return;
  // Prompts given in the world (by another client) are shown by that client's own means.
  if (prompt.frame !== "index" || !onSlice(prompt, plane.through, scene.slice)) return;
  const screen = (position: number[]): [number, number] => {
    const { u, v } = indexToPlane(plane, geometry, [position[0], position[1], position[2] ?? 0] as Vec3);
    return projection.toScreen(u, v);
  };
  const colour = style.colour ?? signColour(prompt.positive);
  const width = style.strong ? 4 : 2;
  if (prompt.kind === "point")
    drawPoint(context, ...screen(prompt.position), prompt.positive, colour, style.strong ?? false);
  else if (prompt.kind === "box") {
    const [ax, ay] = screen(prompt.low.map((v) => v - 0.5));
    const [bx, by] = screen(prompt.high.map((v) => v - 0.5));
    strokeBox(context, [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)], colour, {
      width,
      dashed: style.dashed,
    });
  } else
    strokePath(context, prompt.points.map(screen), colour, {
      width,
      closed: prompt.kind === "lasso",
      dashed: style.dashed,
    });
}

export function drawPrompts(
  context: CanvasRenderingContext2D,
  scene: Scene,
  prompts: PromptInfo[],
  hovered: number | null,
): void {
  for (const info of prompts) if (info.id !== hovered) drawPrompt(context, scene, info.prompt);
  const meant = prompts.find((info) => info.id === hovered);
  if (meant) drawPrompt(context, scene, meant.prompt, { strong: true });
}

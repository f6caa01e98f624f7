/** The tools by name: label, key, and whether the image's model can take them. */

import type { Tools } from "../api/messages";
import { type AppState, currentObject, type ToolName } from "../state/app";
import type { IconName } from "../ui/icons";
import { BoxTool } from "./box_tool";
import { BrushTool } from "./brush_tool";
import { LassoTool, PointTool, ScribbleTool } from "./prompt_tools";
import type { Tool } from "./tool";
import { MoveTool, WindowTool } from "./view_tools";

export interface ToolEntry {
  name: ToolName;
  label: string;
  key: string;
  icon: IconName;
  hint: string;
  /** Kind of prompt that the gesture becomes. */
  kind: string | null;
  signed: boolean;
  tool: Tool;
}

export const TOOLS: readonly ToolEntry[] = [
  {
    name: "move",
    label: "Move",
    key: "M",
    icon: "move",
    hint: "Drag the picture; click to set the crosshair",
    kind: null,
    signed: false,
    tool: new MoveTool(),
  },
  {
    name: "window",
    label: "Window",
    key: "W",
    icon: "window",
    hint: "Drag right to widen the window, down to darken",
    kind: null,
    signed: false,
    tool: new WindowTool(),
  },
  {
    name: "point",
    label: "Point",
    key: "P",
    icon: "point",
    hint: "Click on the object; right-click or Shift on what is not",
    kind: "point",
    signed: true,
    tool: new PointTool(),
  },
  {
    name: "box",
    label: "Box",
    key: "B",
    icon: "box",
    hint: "Drag from corner to corner",
    kind: "box",
    signed: true,
    tool: new BoxTool(),
  },
  {
    name: "scribble",
    label: "Scribble",
    key: "S",
    icon: "scribble",
    hint: "Draw a line along the object; Shift on what is not",
    kind: "scribble",
    signed: true,
    tool: new ScribbleTool(),
  },
  {
    name: "lasso",
    label: "Lasso",
    key: "L",
    icon: "lasso",
    hint: "Draw around the object",
    kind: "lasso",
    signed: true,
    tool: new LassoTool(),
  },
  {
    name: "brush",
    label: "Brush",
    key: "D",
    icon: "brush",
    hint: "Paint single voxels on this slice",
    kind: "mask",
    signed: false,
    tool: new BrushTool(true),
  },
  {
    name: "eraser",
    label: "Eraser",
    key: "E",
    icon: "eraser",
    hint: "Erase single voxels on this slice",
    kind: "mask",
    signed: false,
    tool: new BrushTool(false),
  },
];

export function toolEntry(name: ToolName): ToolEntry {
  const entry = TOOLS.find((tool) => tool.name === name);
  if (!entry) throw new Error(`no tool ${name}`);
  return entry;
}

/** Why a tool cannot be used now; null where it can. */
export function rejection(entry: ToolEntry, state: Readonly<AppState>): string | null {
  if (entry.kind === null) return null;
  const { image } = state;
  if (!image) return "Open an image first";
  const tools: Tools = image.tools;
  // Brush and eraser ask no model.
  if (entry.kind === "mask") return null;
  if (image.model_problem !== null) return `${image.model} cannot answer: ${remedy(image.model_problem)}`;
  if (!tools.prompt_kinds.includes(entry.kind))
    return `${image.model} does not take ${plural(entry.kind)}: it takes ${listed(tools.prompt_kinds.map(plural))}`;
  const begun = (currentObject(state)?.prompts ?? 0) > 0;
  if (!begun && !tools.starts_from.includes(entry.kind))
    return `${image.model} begins an object from ${listed(tools.starts_from.map(plural), "or")}`;
  return null;
}

/** Why the sign cannot be negative; null where it can. */
export function negativeRejection(entry: ToolEntry, state: Readonly<AppState>): string | null {
  if (!state.image || !entry.signed || entry.kind === null) return null;
  if (state.image.tools.negative_kinds.includes(entry.kind)) return null;
  return `${state.image.model} takes no negative ${plural(entry.kind)}`;
}

export function suggestRejection(state: Readonly<AppState>): string | null {
  const { image } = state;
  if (!image) return "Open an image first";
  if (image.model_problem !== null) return `${image.model} cannot answer: ${remedy(image.model_problem)}`;
  if (image.tools.suggest !== true) return `${image.model} does not say where to click next`;
  if (!currentObject(state)?.voxels) return "Needs a first mask";
  return null;
}

export function candidatesRejection(state: Readonly<AppState>): string | null {
  const { image } = state;
  if (!image) return "Open an image first";
  if (image.model_problem !== null) return `${image.model} cannot answer: ${remedy(image.model_problem)}`;
  if (image.tools.candidates !== true) return `${image.model} proposes no other masks`;
  if (!currentObject(state)?.prompts) return "Needs a click, a stroke or a box";
  return null;
}

export function editRejection(state: Readonly<AppState>): string | null {
  if (!state.image) return "Open an image first";
  return currentObject(state)?.voxels ? null : "Needs a first mask";
}

/** Why nothing can be found that is like what is there; null where something can. */
export function likeRejection(state: Readonly<AppState>): string | null {
  const { image, objects } = state;
  if (!image) return "Open an image first";
  if (image.model_problem !== null) return `${image.model} cannot answer: ${remedy(image.model_problem)}`;
  return objects.some(({ visible, voxels }) => visible && voxels > 0) ? null : "Needs a mask that is shown";
}

/** Why a mask cannot be carried along; null where it can. */
export function carryRejection(state: Readonly<AppState>): string | null {
  if (!state.image) return "Open an image first";
  if (state.image.dimensions !== 3) return "A picture has no slices to carry a mask along";
  return currentObject(state)?.voxels ? null : "Needs a mask on a slice";
}

/** What to do, which errors say after their last semicolon. */
export function remedy(reason: string): string {
  return reason.split("; ").at(-1) ?? reason;
}

function plural(kind: string): string {
  return kind === "box" ? "boxes" : kind === "lasso" ? "lassos" : `${kind}s`;
}

function listed(words: string[], last = "and"): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} ${last} ${words[words.length - 1]}`;
}

/** One plane of the image on the screen: slice, objects, prompts, crosshair, and the pointer that works on them. */

import type { On } from "../api/messages";
import type { Actions } from "../app/actions";
import type { Workplace } from "../app/workplace";
import type { Vec3 } from "../image/geometry";
import { indexToPlane, type Plane, type PlaneName, planeLetters, planeOf, planeToIndex } from "../image/planes";
import { type AppStore, currentObject } from "../state/app";
import { rejection, toolEntry } from "../tools/catalogue";
import { PointTool } from "../tools/prompt_tools";
import { ProposalTool } from "../tools/proposal_tool";
import type { Pointer, Stage, Tool } from "../tools/tool";
import { MoveTool, WindowTool } from "../tools/view_tools";
import { h } from "../ui/dom";
import { icon } from "../ui/icons";
import { toast } from "../ui/toast";
import { type Camera, fitted, Projection, zoomed } from "./camera";
import { drawPrompt, drawPrompts, SUGGESTED } from "./markers";
import { IN_MEMORY, SlicePainter } from "./painter";

const TITLES: Record<PlaneName, string> = {
  axial: "Axial",
  coronal: "Coronal",
  sagittal: "Sagittal",
  picture: "Picture",
};

/** Axes' colours, the same in all views: what one sees along the crosshair is the view of that colour. */
export const PLANE_COLOURS: Record<PlaneName, string> = {
  axial: "#f2a154",
  coronal: "#7cc4ff",
  sagittal: "#c69cf4",
  picture: "#f2a154",
};

export class PlaneView {
  readonly element: HTMLElement;
  private readonly canvas = h("canvas", { tabindex: 0 });
  private readonly slider = h("input", { type: "range", min: 0, step: 1, class: "slice-slider" });
  private readonly sliceText = h("span", { class: "view-slice" });
  private readonly letters: Record<"left" | "right" | "top" | "bottom", HTMLElement>;
  private readonly enlarge: HTMLButtonElement;
  private readonly painter = new SlicePainter();
  private readonly right = new WindowTool();
  private readonly middle = new MoveTool();
  private readonly proposing = new ProposalTool();
  private readonly imageText = h("span", { class: "view-image" });
  /** The view of the other image on the same plane: they look at the same place. */
  private twin: PlaneView | null = null;
  private place: Workplace | null = null;
  private plane: Plane | null = null;
  private camera: Camera = { u: 0, v: 0, zoom: 1 };
  private pointer: Pointer | null = null;
  private active: Tool | null = null;
  private pressed: { x: number; y: number; button: number } | null = null;
  private scheduled = false;
  private wheel = 0;
  private spaceHeld = false;

  constructor(
    readonly name: PlaneName,
    private readonly store: AppStore,
    private readonly actions: Actions,
    readonly shows: On = "first",
  ) {
    const letter = (side: string): HTMLElement => h("span", { class: `letter letter-${side}`, "aria-hidden": "true" });
    this.letters = { left: letter("left"), right: letter("right"), top: letter("top"), bottom: letter("bottom") };
    this.enlarge = h("button", { class: "icon-button view-enlarge", onclick: () => this.toggleLayout() });
    this.element = h(
      "section",
      {
        class: `view view-${name}${shows === "second" ? " view-second" : ""}`,
        "aria-label": shows === "second" ? `${TITLES[name]}, second image` : TITLES[name],
      },
      this.canvas,
      h(
        "div",
        { class: "view-title" },
        name === "picture"
          ? null
          : h("span", { class: "view-name", style: `color:${PLANE_COLOURS[name]}` }, TITLES[name]),
        this.imageText,
        this.sliceText,
      ),
      this.enlarge,
      ...Object.values(this.letters),
      this.slider,
    );
    this.listen();
    store.watch(
      [
        "painted",
        "window",
        "cursor",
        "objects",
        "current",
        "prompts",
        "pending",
        "suggestion",
        "hovered",
        "fill",
        "masksShown",
        "crosshair",
        "smooth",
        "tool",
        "positive",
        "shapedBox",
        "theme",
        "image",
        "proposals",
        "second",
        "secondOpacity",
      ],
      // In a frame already: waiting for the next would show the answer later.
      () => this.draw(),
    );
    store.watch(["cursor", "image", "layout", "second"], () => this.describe());
    // Where the pointer is on the other image.
    store.watch(["pointer"], () => this.twin && !this.element.hidden && !this.pointer && this.redraw());
    new ResizeObserver(() => this.redraw()).observe(this.element);
  }

  /** Two views of a plane, of the first image and of the second, that show the same place at the same size. */
  static pair(one: PlaneView, other: PlaneView): void {
    one.twin = other;
    other.twin = one;
  }

  /** Shows an image; null shows nothing. */
  show(place: Workplace | null): void {
    this.place = place;
    this.plane = place ? planeOf(place.geometry, this.name) : null;
    this.resetCamera();
    this.describe();
  }

  resetCamera(): void {
    if (this.place && this.plane) this.look(fitted(this.plane, this.place.geometry));
    else this.redraw();
  }

  private look(camera: Camera): void {
    this.camera = camera;
    this.redraw();
    if (!this.twin) return;
    this.twin.camera = camera;
    this.twin.redraw();
  }

  zoomBy(factor: number): void {
    const stage = this.stage();
    if (!stage) return;
    const { u, v } = this.onPlane();
    const [x, y] = stage.projection.toScreen(u, v);
    this.look(zoomed(stage.projection, factor, x, y));
  }

  /** Where a voxel (continuous index) lies on the page, in CSS pixels; for tests and for keys. */
  pageOf(index: readonly number[]): { x: number; y: number } | null {
    const stage = this.stage();
    if (!stage) return null;
    const { u, v } = indexToPlane(stage.plane, stage.place.geometry, [index[0], index[1], index[2] ?? 0]);
    const [x, y] = stage.projection.toScreen(u, v);
    const box = this.canvas.getBoundingClientRect();
    return { x: box.left + x, y: box.top + y };
  }

  scroll(steps: number): void {
    const { plane, place } = this;
    if (!plane || !place) return;
    const { cursor } = this.store.get();
    const next = [...cursor];
    // Away from the patient's feet, towards the back, towards the left: as the letters of the view's axis run.
    next[plane.through] += steps;
    this.actions.goTo(next);
  }

  redraw(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.draw();
    });
  }

  private get slice(): number {
    return this.plane ? this.store.get().cursor[this.plane.through] : 0;
  }

  private onPlane(): { u: number; v: number } {
    const { cursor } = this.store.get();
    return this.plane && this.place ? indexToPlane(this.plane, this.place.geometry, cursor) : { u: 0, v: 0 };
  }

  private stage(): Stage | null {
    const { place, plane } = this;
    if (!place?.voxels || !plane) return null;
    const { clientWidth, clientHeight } = this.canvas;
    if (clientWidth === 0) return null;
    return {
      store: this.store,
      actions: this.actions,
      place,
      plane,
      slice: this.slice,
      projection: new Projection(this.camera, plane, place.geometry, clientWidth, clientHeight),
      shows: this.shows,
      setCamera: (camera) => this.look(camera),
      redraw: () => this.redraw(),
    };
  }

  // Drawing

  private draw(): void {
    const { clientWidth, clientHeight } = this.canvas;
    const width = Math.round(clientWidth * devicePixelRatio);
    const height = Math.round(clientHeight * devicePixelRatio);
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    const context = this.canvas.getContext("2d", IN_MEMORY);
    if (!context) return;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    const stage = this.stage();
    if (!stage) return;
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    const state = this.store.get();
    this.painter.paint(context, stage.place, stage.plane, stage.slice, stage.projection, state, this.shows);
    if (state.crosshair && stage.place.geometry.ndim === 3) this.drawCrosshair(context, stage);
    this.drawMarks(context, stage);
    if (state.pointer && !this.pointer && state.second?.mode === "beside")
      this.drawPointer(context, stage, state.pointer);
    if (!state.proposals) toolEntry(state.tool).tool.draw?.(stage, context, this.pointer);
  }

  private drawCrosshair(context: CanvasRenderingContext2D, stage: Stage): void {
    const { u, v } = this.onPlane();
    const [x, y] = stage.projection.toScreen(u, v);
    const { width, height } = stage.projection;
    const gap = 12;
    const line = (colour: string, ax: number, ay: number, bx: number, by: number): void => {
      context.strokeStyle = colour;
      context.beginPath();
      context.moveTo(ax, ay);
      context.lineTo(bx, by);
      context.stroke();
    };
    context.save();
    context.globalAlpha = 0.6;
    context.lineWidth = 1;
    const across = PLANE_COLOURS[this.crossing(stage, stage.plane.down)];
    const along = PLANE_COLOURS[this.crossing(stage, stage.plane.right)];
    line(across, 0, y, x - gap, y);
    line(across, x + gap, y, width, y);
    line(along, x, 0, x, y - gap);
    line(along, x, y + gap, x, height);
    context.restore();
  }

  /** Where the pointer is, on the view of the other image. */
  private drawPointer(context: CanvasRenderingContext2D, stage: Stage, pointer: Vec3): void {
    const { u, v, slice } = indexToPlane(stage.plane, stage.place.geometry, pointer);
    if (Math.round(slice) !== stage.slice) return;
    const [x, y] = stage.projection.toScreen(u, v);
    context.save();
    for (const [colour, width] of [
      ["#000", 3],
      ["#fff", 1.25],
    ] as const) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      context.arc(x, y, 6, 0, 2 * Math.PI);
      context.stroke();
    }
    context.restore();
  }

  /** The view that one scrolls along an axis. */
  private crossing(stage: Stage, axis: number): PlaneName {
    const names: PlaneName[] = ["axial", "coronal", "sagittal"];
    return names.find((name) => planeOf(stage.place.geometry, name).through === axis) ?? "axial";
  }

  private drawMarks(context: CanvasRenderingContext2D, stage: Stage): void {
    const state = this.store.get();
    const scene = {
      geometry: stage.place.geometry,
      plane: stage.plane,
      slice: stage.slice,
      projection: stage.projection,
    };
    const prompts = state.current !== null ? (state.prompts[state.current] ?? []) : [];
    if (state.masksShown) drawPrompts(context, scene, prompts, state.hovered);
    for (const { prompt } of state.pending) if (prompt) drawPrompt(context, scene, prompt, { dashed: true });
    if (state.suggestion) drawPrompt(context, scene, state.suggestion, { colour: SUGGESTED, strong: true });
  }

  /** Letters, title and slider. */
  private describe(): void {
    const { place, plane } = this;
    const alone = this.store.get().layout === this.name;
    this.enlarge.replaceChildren(icon(alone ? "shrink" : "expand"));
    const title = alone ? "Show all views" : `Enlarge the ${this.name} view`;
    this.enlarge.title = `${title} (double-click)`;
    this.enlarge.setAttribute("aria-label", title);
    this.enlarge.hidden = this.name === "picture";
    if (!place || !plane) return;
    const { image, second } = this.store.get();
    const both = second?.mode === "beside";
    this.imageText.hidden = !both;
    this.imageText.textContent = !second
      ? ""
      : this.shows === "second"
        ? (second.info.modality ?? second.info.name)
        : (image?.modality ?? "first image");
    const count = place.geometry.size[plane.through];
    const position = this.slice;
    this.sliceText.textContent = count > 1 ? `${position + 1} / ${count}` : "";
    this.slider.hidden = count < 2;
    this.slider.max = String(count - 1);
    this.slider.value = String(position);
    this.slider.setAttribute("aria-label", `${TITLES[this.name]} slice`);
    this.slider.setAttribute("aria-valuetext", `Slice ${position + 1} of ${count}`);
    this.canvas.setAttribute(
      "aria-label",
      `${TITLES[this.name]} view, slice ${position + 1} of ${count}. Arrow keys move the crosshair, Page Up and Page Down change the slice, Enter places a point.`,
    );
    this.canvas.setAttribute("role", "application");
    const known = place.geometry.spacingKnown && place.geometry.ndim === 3;
    const letters = planeLetters(plane, place.geometry);
    for (const side of ["left", "right", "top", "bottom"] as const)
      this.letters[side].textContent = known ? letters[side] : "";
  }

  private toggleLayout(): void {
    if (this.name === "picture") return;
    this.store.set({ layout: this.store.get().layout === this.name ? "all" : this.name });
  }

  // Pointer and keys

  private listen(): void {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.onDown(event));
    canvas.addEventListener("pointermove", (event) => this.onMove(event));
    canvas.addEventListener("pointerup", (event) => this.onUp(event));
    canvas.addEventListener("pointercancel", () => this.giveUp());
    canvas.addEventListener("pointerleave", () => this.onLeave());
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    // The middle button would otherwise begin to scroll the page.
    canvas.addEventListener("mousedown", (event) => event.button === 1 && event.preventDefault());
    canvas.addEventListener("dblclick", () => {
      if (["move", "window"].includes(this.store.get().tool)) this.toggleLayout();
    });
    canvas.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.onKey(event));
    window.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.giveUp();
      if (event.key === " ") this.spaceHeld = true;
    });
    window.addEventListener("keyup", (event) => {
      if (event.key === " ") this.spaceHeld = false;
    });
    this.slider.addEventListener("input", () => {
      const { plane } = this;
      if (!plane) return;
      const cursor = [...this.store.get().cursor];
      cursor[plane.through] = Number(this.slider.value);
      this.actions.goTo(cursor);
    });
  }

  private pointerOf(event: MouseEvent, stage: Stage): Pointer {
    const box = this.canvas.getBoundingClientRect();
    const x = event.clientX - box.left;
    const y = event.clientY - box.top;
    const [u, v] = stage.projection.toSlice(x, y);
    return {
      u,
      v,
      index: planeToIndex(stage.plane, stage.place.geometry, u, v, stage.slice),
      x,
      y,
      shift: event.shiftKey,
    };
  }

  private onDown(event: PointerEvent): void {
    const stage = this.stage();
    if (!stage || this.active) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pressed = { x: event.clientX, y: event.clientY, button: event.button };
    const tool = this.toolFor(event.button);
    if (!tool) return;
    this.active = tool;
    tool.down?.(stage, this.pointerOf(event, stage));
  }

  private toolFor(button: number): Tool | null {
    if (button === 1 || (button === 0 && this.spaceHeld)) return this.middle;
    if (button === 2) return this.right;
    if (button !== 0) return null;
    const state = this.store.get();
    if (state.proposals) return this.proposing;
    const entry = toolEntry(state.tool);
    const reason = rejection(entry, state);
    if (reason === null) return entry.tool;
    toast("info", `${entry.label}: ${reason}`);
    return null;
  }

  private onMove(event: PointerEvent): void {
    const stage = this.stage();
    if (!stage) return;
    // All places that the pointer passed between two frames: fast strokes keep their shape.
    const events = this.active ? (event.getCoalescedEvents?.() ?? []) : [];
    for (const passed of events.length > 0 ? events : [event])
      this.active?.move?.(stage, this.pointerOf(passed, stage));
    this.pointer = this.pointerOf(event, stage);
    const state = this.store.get();
    const tool: Tool = state.proposals ? this.proposing : toolEntry(state.tool).tool;
    if (!this.active) tool.hover?.(stage, this.pointer);
    this.canvas.style.cursor = this.active?.cursor ?? tool.cursor;
    const inside = stage.place.geometry.contains(this.pointer.index);
    this.store.set({ pointer: inside ? this.pointer.index : null });
    if (tool.cursor === "none") this.redraw();
  }

  private onUp(event: PointerEvent): void {
    const time = performance.now();
    const stage = this.stage();
    const { active, pressed } = this;
    this.active = null;
    this.pressed = null;
    if (!stage || !active || !pressed) return;
    const pointer = this.pointerOf(event, stage);
    active.up?.(stage, pointer, time);
    const still = Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) < 4;
    if (pressed.button === 2 && still) this.rightClick(stage, pointer, time);
  }

  /** A right click is a point of the other sign, whatever the switch says. */
  private rightClick(stage: Stage, pointer: Pointer, time: number): void {
    const state = this.store.get();
    const entry = toolEntry(state.tool);
    if (!(entry.tool instanceof PointTool) || rejection(entry, state) !== null || !state.image) return;
    if (!currentObject(state)?.prompts) toast("info", "Click on the object first; right-click then takes away.");
    else if (state.image.tools.negative_kinds.includes("point"))
      entry.tool.place(stage, pointer, !state.positive, time);
    else toast("info", `${state.image.model} takes no negative points.`);
  }

  private onLeave(): void {
    if (this.active) return;
    this.pointer = null;
    this.store.set({ pointer: null });
    this.redraw();
  }

  private giveUp(): void {
    this.active?.cancel?.();
    this.active = null;
    this.pressed = null;
  }

  private onWheel(event: WheelEvent): void {
    event.preventDefault();
    const stage = this.stage();
    if (!stage) return;
    if (event.ctrlKey || event.metaKey || stage.place.geometry.size[stage.plane.through] === 1) {
      this.look(zoomed(stage.projection, Math.exp(-event.deltaY * 0.002), event.offsetX, event.offsetY));
      return;
    }
    // A notch of a wheel is about 100, a touchpad sends small parts of it.
    this.wheel += event.deltaY / 60;
    const steps = Math.trunc(this.wheel);
    if (steps === 0) return;
    this.wheel -= steps;
    this.scroll(Math.sign(steps) * (event.shiftKey ? 10 : Math.min(Math.abs(steps), 3)));
  }

  private onKey(event: KeyboardEvent): void {
    const { plane, place } = this;
    if (!plane || !place || event.ctrlKey || event.metaKey || event.altKey) return;
    const moves: Record<string, [number, number]> = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const move = moves[event.key];
    const far = event.shiftKey ? 10 : 1;
    if (move) {
      const { u, v } = this.onPlane();
      this.actions.goTo(planeToIndex(plane, place.geometry, u + move[0] * far, v + move[1] * far, this.slice));
    } else if (event.key === "PageUp" || event.key === "PageDown") this.scroll(event.key === "PageUp" ? -far : far);
    else if (event.key === "Enter" && this.entersPoint()) this.pointAtCursor();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  private entersPoint(): boolean {
    const { tool, suggestion, proposals, carried } = this.store.get();
    return tool === "point" && !suggestion && !proposals && !carried;
  }

  private pointAtCursor(): void {
    const stage = this.stage();
    const state = this.store.get();
    const entry = toolEntry("point");
    if (!stage || rejection(entry, state) !== null) return;
    const { cursor } = state;
    this.actions.prompt(
      { kind: "point", position: cursor.slice(0, stage.place.geometry.ndim), positive: state.positive, frame: "index" },
      performance.now(),
    );
  }
}

/** The 3D view: NiiVue on a small copy of the volume, loaded after the slices are on the screen. */

import type { Niivue } from "@niivue/niivue";
import type { ObjectInfo } from "../api/messages";
import type { Workplace } from "../app/workplace";
import { niftiOf, type Reduction, reducedGrey, reducedLabels, reductionOf } from "../image/reduce";
import type { AppStore } from "../state/app";
import { h } from "../ui/dom";
import { icon } from "../ui/icons";
import { rgb } from "./painter";

/** Samples along an axis at most: with a graphics processor, and where the processor does its work. */
const LARGEST = 208;
const LARGEST_SOFTWARE = 112;
/** The slices come first: the rendering waits until the hands rest. */
const REST_MS = 350;
const REST_SOFTWARE_MS = 900;

export class RenderingView {
  readonly element: HTMLElement;
  private readonly canvas = h("canvas", { "aria-label": "3D rendering: drag to turn it, wheel to zoom", role: "img" });
  private readonly note = h("p", { class: "view-note" });
  private readonly enlarge: HTMLButtonElement;
  private readonly power: HTMLButtonElement;
  private niivue: Niivue | null = null;
  private software = false;
  private failed = false;
  private place: Workplace | null = null;
  private shown: { place: Workplace; reduction: Reduction; window: string } | null = null;
  private timer: number | undefined;
  private working = false;
  private again = false;

  constructor(private readonly store: AppStore) {
    this.enlarge = h("button", { class: "icon-button view-enlarge", onclick: () => this.toggle() });
    this.power = h("button", {
      class: "icon-button view-power",
      onclick: () => store.set({ rendering: !store.get().rendering }),
    });
    this.element = h(
      "section",
      { class: "view view-rendering", "aria-label": "3D rendering" },
      this.canvas,
      h("div", { class: "view-title" }, h("span", { class: "view-name" }, "3D")),
      this.note,
      this.power,
      this.enlarge,
    );
    store.watch(["painted", "window", "objects", "fill", "masksShown", "layout", "rendering"], () => this.later());
    store.watch(["layout", "rendering"], () => this.describe());
    new ResizeObserver(() => this.fit()).observe(this.element);
  }

  show(place: Workplace | null): void {
    this.place = place;
    this.later();
  }

  private toggle(): void {
    this.store.set({ layout: this.store.get().layout === "rendering" ? "all" : "rendering" });
  }

  private describe(): void {
    const alone = this.store.get().layout === "rendering";
    this.enlarge.replaceChildren(icon(alone ? "shrink" : "expand"));
    this.enlarge.title = alone ? "Show all views" : "Enlarge the 3D view";
    this.enlarge.setAttribute("aria-label", this.enlarge.title);
    const { rendering } = this.store.get();
    this.power.replaceChildren(icon(rendering ? "eye" : "hidden"));
    this.power.title = rendering
      ? "Switch the 3D view off, to leave the processor to the model"
      : "Switch the 3D view on";
    this.power.setAttribute("aria-label", this.power.title);
    this.canvas.hidden = !rendering;
    if (!this.failed) this.note.textContent = rendering ? "" : "The 3D view is off.";
  }

  private later(): void {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.update(), this.software ? REST_SOFTWARE_MS : REST_MS);
  }

  private fit(): void {
    if (this.niivue && this.canvas.clientWidth > 0) {
      this.niivue.resizeListener();
      this.niivue.drawScene();
    }
  }

  private async update(): Promise<void> {
    if (this.working) {
      this.again = true;
      return;
    }
    const { place } = this;
    if (
      !place?.voxels ||
      place.geometry.ndim !== 3 ||
      this.failed ||
      !this.store.get().rendering ||
      this.element.clientWidth === 0
    )
      return;
    // A prompt that waits for its answer has the processor to itself.
    if (this.store.get().pending.length > 0) return this.later();
    this.working = true;
    try {
      await this.begin();
      await this.draw(place);
    } catch {
      this.failed = true;
      this.note.textContent =
        "3D rendering needs WebGL 2, which this browser does not offer here. The slices work without it.";
    }
    this.working = false;
    if (this.again) {
      this.again = false;
      this.later();
    }
  }

  private async begin(): Promise<void> {
    if (this.niivue) return;
    this.note.textContent = "Preparing the 3D view";
    const probe = document.createElement("canvas").getContext("webgl2");
    if (!probe) throw new Error("no WebGL 2");
    this.software = rendersInSoftware(probe);
    probe.getExtension("WEBGL_lose_context")?.loseContext();
    const { Niivue, SLICE_TYPE } = await import("@niivue/niivue");
    const niivue = new Niivue({
      backColor: [0, 0, 0, 1],
      show3Dcrosshair: false,
      crosshairColor: [0, 0, 0, 0],
      isOrientCube: false,
      isColorbar: false,
      dragAndDropEnabled: false,
      logLevel: "silent",
      isCornerOrientationText: false,
      loadingText: "",
      textHeight: 0,
      smoothDrawing: 1,
    });
    await niivue.attachToCanvas(this.canvas, false);
    niivue.setSliceType(SLICE_TYPE.RENDER);
    niivue.setRenderAzimuthElevation(205, 12);
    this.niivue = niivue;
  }

  private async draw(place: Workplace): Promise<void> {
    const { niivue } = this;
    if (!niivue || !place.voxels) return;
    const state = this.store.get();
    const windowKey = `${state.window.level},${state.window.width}`;
    if (this.shown?.place !== place || this.shown.window !== windowKey) {
      const reduction = reductionOf(place.geometry, this.software ? LARGEST_SOFTWARE : LARGEST);
      const { NVImage } = await import("@niivue/niivue");
      const file = niftiOf(reducedGrey(place.voxels, reduction, state.window), reduction);
      const url = URL.createObjectURL(new Blob([file]));
      const image = await NVImage.loadFromUrl({ url, name: "volume.nii", colormap: "gray", cal_min: 20, cal_max: 255 });
      URL.revokeObjectURL(url);
      for (const volume of [...niivue.volumes]) niivue.removeVolume(volume);
      niivue.addVolume(image);
      niivue.createEmptyDrawing();
      this.shown = { place, reduction, window: windowKey };
      this.note.textContent = "";
    }
    const objects = state.objects.filter((object) => object.visible);
    const reductionStep = Math.max(...this.shown.reduction.axes.map(({ step }) => step));
    const colours = objects.slice(0, 255).map((object) => rgb(object.colour));
    const { cmapper } = await import("@niivue/niivue");
    niivue.drawLut = cmapper.makeDrawLut({
      R: [0, ...colours.map(([red]) => red)],
      G: [0, ...colours.map(([, green]) => green)],
      B: [0, ...colours.map(([, , blue]) => blue)],
      A: [0, ...colours.map(() => 255)],
      I: [0, ...colours.map((_, i) => i + 1)],
      labels: ["", ...colours.map(String)],
    });
    niivue.drawBitmap = reducedLabels(
      place.labels,
      this.shown.reduction,
      objects.map((object) => object.id),
    );
    const any = state.masksShown && objects.some((object) => object.voxels > 0);
    niivue.setDrawOpacity(any ? 1 : 0);
    // Read by the update that follows: objects are seen through the body.
    niivue.volumes[0].opacity = any ? 0.4 : 1;
    niivue.updateGLVolume();
    // Smooth surfaces are finer to look at, but a mask of one slice would vanish in them.
    niivue.opts.smoothDrawing = objects.every((object) => isThick(object, reductionStep)) ? 1 : 0;
    niivue.refreshDrawing(true);
    this.element.dataset.ready = "true";
  }
}

/** Whether an object has three samples of the small copy on every axis; what is empty does not matter. */
function isThick(object: ObjectInfo, step: number): boolean {
  const { box } = object;
  return box === null || box.stop.every((stop, axis) => stop - box.start[axis] >= 3 * step);
}

function rendersInSoftware(gl: WebGL2RenderingContext): boolean {
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  const renderer: unknown = gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
  return typeof renderer === "string" && /swiftshader|llvmpipe|software|basic render/i.test(renderer);
}

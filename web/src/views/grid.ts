/** The views of an image: three planes and the rendering, or one picture. */

import type { Actions } from "../app/actions";
import type { Workplace } from "../app/workplace";
import type { PlaneName } from "../image/planes";
import { type AppStore, ARRANGEMENTS } from "../state/app";
import { h } from "../ui/dom";
import { PlaneView } from "./plane_view";
import { RenderingView } from "./rendering";

export class Views {
  readonly element: HTMLElement;
  readonly planes: Record<PlaneName, PlaneView>;
  /** The second image on the same planes, while it is shown beside the first. */
  readonly seconds: Record<Exclude<PlaneName, "picture">, PlaneView>;
  private readonly rendering: RenderingView;
  private shown: Workplace | null = null;

  constructor(
    private readonly store: AppStore,
    private readonly actions: Actions,
  ) {
    const view = (name: PlaneName): PlaneView => new PlaneView(name, store, actions);
    this.planes = {
      axial: view("axial"),
      coronal: view("coronal"),
      sagittal: view("sagittal"),
      picture: view("picture"),
    };
    const beside = (name: Exclude<PlaneName, "picture">): PlaneView => {
      const made = new PlaneView(name, store, actions, "second");
      PlaneView.pair(this.planes[name], made);
      return made;
    };
    // In the order of the first image's views.
    this.seconds = { axial: beside("axial"), sagittal: beside("sagittal"), coronal: beside("coronal") };
    this.rendering = new RenderingView(store);
    const { axial, coronal, sagittal, picture } = this.planes;
    this.element = h(
      "div",
      { class: "views" },
      axial.element,
      sagittal.element,
      coronal.element,
      this.rendering.element,
      picture.element,
      ...Object.values(this.seconds).map((view) => view.element),
    );
    store.watch(["image", "layout", "arrangement", "painted", "second"], () => this.arrange());
  }

  resetCameras(): void {
    for (const view of Object.values(this.planes)) view.resetCamera();
  }

  zoomBy(factor: number): void {
    for (const view of Object.values(this.planes)) view.zoomBy(factor);
  }

  private arrange(): void {
    const { image, layout, arrangement, second } = this.store.get();
    const place = this.actions.workplace;
    this.element.hidden = !image;
    const flat = image?.dimensions === 2;
    for (const [name, view] of Object.entries(this.planes))
      view.element.hidden = flat ? name !== "picture" : name === "picture" || (layout !== "all" && layout !== name);
    const together = !flat && layout === "all";
    // Two images are seen plane by plane, the second one's below the first one's; one plane alone side by side.
    const beside = !flat && second?.mode === "beside" && layout !== "rendering";
    for (const [name, view] of Object.entries(this.seconds))
      view.element.hidden = !beside || (layout !== "all" && layout !== name);
    this.rendering.element.hidden = together ? beside || arrangement === "row" : flat || layout !== "rendering";
    this.element.classList.toggle("single", !together);
    this.element.classList.toggle("paired", beside);
    for (const name of ARRANGEMENTS)
      this.element.classList.toggle(`arranged-${name}`, together && !beside && arrangement === name);
    if (place === this.shown) return;
    this.shown = place;
    for (const [name, view] of Object.entries(this.planes)) view.show(flat === (name === "picture") ? place : null);
    for (const view of Object.values(this.seconds)) view.show(flat ? null : place);
    this.rendering.show(flat ? null : place);
  }
}

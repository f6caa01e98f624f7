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
    );
    store.watch(["image", "layout", "arrangement", "painted"], () => this.arrange());
  }

  resetCameras(): void {
    for (const view of Object.values(this.planes)) view.resetCamera();
  }

  zoomBy(factor: number): void {
    for (const view of Object.values(this.planes)) view.zoomBy(factor);
  }

  private arrange(): void {
    const { image, layout, arrangement } = this.store.get();
    const place = this.actions.workplace;
    this.element.hidden = !image;
    const flat = image?.dimensions === 2;
    for (const [name, view] of Object.entries(this.planes))
      view.element.hidden = flat ? name !== "picture" : name === "picture" || (layout !== "all" && layout !== name);
    const together = !flat && layout === "all";
    this.rendering.element.hidden = together ? arrangement === "row" : flat || layout !== "rendering";
    this.element.classList.toggle("single", !together);
    for (const name of ARRANGEMENTS)
      this.element.classList.toggle(`arranged-${name}`, together && arrangement === name);
    if (place === this.shown) return;
    this.shown = place;
    for (const [name, view] of Object.entries(this.planes)) view.show(flat === (name === "picture") ? place : null);
    this.rendering.show(flat ? null : place);
  }
}

/** What the page shows before anything is open: one line that teaches, and the ways to open something. */

import type { Actions } from "../app/actions";
import type { AppStore } from "../state/app";
import { fill, h } from "../ui/dom";
import { openForm } from "./open_dialog";
import { startTour } from "./tour";

export function emptyState(store: AppStore, actions: Actions): HTMLElement {
  const element = h("div", { class: "empty" });
  store.watch(["image", "loading"], () => {
    const { image, loading } = store.get();
    element.hidden = image !== null || loading !== null;
  });
  // Apart from hiding: a path that was mistyped is still there when its error is shown.
  store.watch(["server", "recent"], () => {
    const { server } = store.get();
    if (!server) return fill(element);
    fill(
      element,
      h(
        "div",
        { class: "empty-card" },
        h("h2", {}, "Open a scan, click on a structure, correct, save."),
        h(
          "p",
          { class: "muted" },
          "Drop an image anywhere on this page, or name its path. Nothing leaves this machine.",
        ),
        openForm(store, actions, () => undefined),
        server.sample
          ? h(
              "button",
              { class: "link", onclick: () => void startTour(store, actions) },
              "Take the one-minute tour on the sample",
            )
          : null,
      ),
    );
  });
  return element;
}

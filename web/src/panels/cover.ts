/** What lies over the views for a while: loading, a lost server, a file about to be dropped. */

import type { Actions } from "../app/actions";
import type { AppStore } from "../state/app";
import { h } from "../ui/dom";
import { droppedFiles } from "../ui/files";

export function loadingCover(store: AppStore): HTMLElement {
  const what = h("p", {});
  const bar = h("div", { class: "progress", role: "progressbar", "aria-label": "Loading" }, h("span", {}));
  const cover = h("div", { class: "cover" }, h("div", { class: "cover-card" }, what, bar));
  store.watch(["loading"], () => {
    const { loading } = store.get();
    cover.hidden = loading === null;
    if (!loading) return;
    what.textContent = loading.what;
    bar.classList.toggle("unknown", loading.fraction === null);
    const percent = Math.round((loading.fraction ?? 0) * 100);
    if (loading.fraction === null) bar.removeAttribute("aria-valuenow");
    else bar.setAttribute("aria-valuenow", String(percent));
    const [span] = bar.children;
    if (span instanceof HTMLElement) span.style.width = loading.fraction === null ? "" : `${percent}%`;
  });
  return cover;
}

export function lostBanner(store: AppStore): HTMLElement {
  const text = h("span", {});
  const banner = h("div", { class: "banner", role: "alert" }, text);
  store.watch(["connection", "image"], () => {
    const { connection, image } = store.get();
    banner.hidden = !image || (connection !== "lost" && connection !== "rejected");
    if (banner.hidden) return;
    text.textContent =
      connection === "rejected"
        ? "This page is not known to the server any more. Open the address that `bedside ui` printed; your work is saved."
        : "The server does not answer. Start `bedside ui` again; your work is saved, and this page goes on by itself when it can.";
  });
  return banner;
}

export function listenForDrops(actions: Actions): HTMLElement {
  const cover = h("div", { class: "drop-cover", hidden: true }, h("p", {}, "Drop to open"));
  let depth = 0;
  const files = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;
  const leave = (): void => {
    depth = 0;
    cover.hidden = true;
  };
  window.addEventListener("dragenter", (event) => {
    if (!files(event)) return;
    depth++;
    cover.hidden = false;
  });
  window.addEventListener("dragleave", () => {
    if (--depth <= 0) leave();
  });
  window.addEventListener("dragover", (event) => event.preventDefault());
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    leave();
    if (!event.dataTransfer || !files(event)) return;
    void droppedFiles(event.dataTransfer).then((found) => {
      if (found.length > 0) void actions.openFiles(found);
    });
  });
  return cover;
}

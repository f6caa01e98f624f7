/** Dialogs on the browser's own <dialog>: focus, Escape and the backdrop come with it. */

import { h } from "./dom";
import { icon } from "./icons";
import { holdToasts } from "./toast";

export function openDialog(title: string, ...content: (Node | string | null)[]): HTMLDialogElement {
  document.querySelector<HTMLDialogElement>("dialog[open]")?.close();
  const heading = `dialog-${title.toLowerCase().replace(/\W+/g, "-")}`;
  const dialog = h(
    "dialog",
    { "aria-labelledby": heading },
    h(
      "div",
      { class: "dialog-head" },
      h("h2", { id: heading }, title),
      h(
        "button",
        { class: "icon-button", "aria-label": "Close", title: "Close (Esc)", onclick: () => dialog.close() },
        icon("close"),
      ),
    ),
    h("div", { class: "dialog-body" }, ...content.filter((part) => part !== null)),
  );
  dialog.addEventListener("close", () => {
    // Another may be open already, with the messages in it.
    holdToasts(document.querySelector<HTMLElement>("dialog[open]") ?? document.body);
    dialog.remove();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  holdToasts(dialog);
  return dialog;
}

export function confirmDialog(title: string, text: string, action: string): Promise<boolean> {
  return new Promise((resolve) => {
    let sure = false;
    const confirm = h("button", { class: "button danger" }, action);
    const cancel = h("button", { class: "button" }, "Cancel");
    const dialog = openDialog(title, h("p", {}, text), h("div", { class: "dialog-actions" }, cancel, confirm));
    confirm.addEventListener("click", () => {
      sure = true;
      dialog.close();
    });
    cancel.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => resolve(sure));
  });
}

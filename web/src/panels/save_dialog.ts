/** Saving: masks as files, and the journal of prompts. */

import { api } from "../api/client";
import type { Actions } from "../app/actions";
import type { AppStore } from "../state/app";
import { openDialog } from "../ui/dialog";
import { h } from "../ui/dom";
import { icon } from "../ui/icons";
import { toast } from "../ui/toast";

export function openSaveDialog(store: AppStore, actions: Actions): void {
  const { image, objects, server } = store.get();
  if (!image) return;
  if (objects.length === 0) return toast("info", "Nothing to save yet: point at something first.");
  const offered = (server?.formats ?? []).filter(({ dimensions }) => dimensions.includes(image.dimensions));
  const preferred = image.dimensions === 2 ? "png" : "nii.gz";
  const format = h(
    "select",
    { id: "save-format" },
    ...offered.map((entry) =>
      h("option", { value: entry.format, selected: entry.format === preferred }, `${entry.title} (.${entry.format})`),
    ),
  );
  const what = (value: "labels" | "objects", label: string, note: string, checked: boolean): HTMLElement =>
    h(
      "label",
      { class: "choice" },
      h("input", { type: "radio", name: "what", value, checked }),
      h("span", {}, label, h("small", {}, note)),
    );
  const overlap = image.policy === "overlap";
  const form = h(
    "div",
    { class: "save-form" },
    h(
      "fieldset",
      {},
      h("legend", {}, "What"),
      what(
        "labels",
        "One label map",
        overlap
          ? "Not with overlapping objects: choose another overlap policy first"
          : objects.length === 1
            ? "The object has the value 1"
            : `Values 1 to ${objects.length}, in the order of the list`,
        !overlap,
      ),
      what("objects", "One file per object", "A zip of binary masks", overlap),
    ),
    h("label", { class: "field", for: "save-format" }, "Format", format),
  );
  if (overlap) form.querySelector<HTMLInputElement>('input[value="labels"]')?.setAttribute("disabled", "");
  const save = h("button", { class: "button primary", autofocus: true }, icon("save"), "Save masks");
  const journal = h(
    "button",
    { class: "button", title: "The prompts of all objects, which give the same masks when replayed" },
    "Save the prompt journal",
  );
  const dialog = openDialog(
    "Save",
    form,
    h("p", { class: "muted" }, "Work is kept by itself after every prompt; these are copies to take elsewhere."),
    h("div", { class: "dialog-actions" }, journal, save),
  );
  save.addEventListener("click", () => {
    const chosen =
      form.querySelector<HTMLInputElement>('input[name="what"]:checked')?.value === "objects" ? "objects" : "labels";
    dialog.close();
    void actions.save(api.exportPath(image.image, format.value, chosen, store.get().image?.policy ?? "keep"));
  });
  journal.addEventListener("click", () => {
    dialog.close();
    void actions.save(api.journalPath(image.image));
  });
}

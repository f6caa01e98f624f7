/** Saving: masks as files, and the journal of prompts. */

import { api } from "../api/client";
import type { SaveFormat } from "../api/messages";
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
  const possible = ({ dicom, format: kind }: SaveFormat): boolean => !dicom || image.dicom_formats.includes(kind);
  const format = h(
    "select",
    { id: "save-format" },
    ...offered.map((entry) =>
      h(
        "option",
        { value: entry.format, selected: entry.format === preferred, disabled: !possible(entry) },
        `${entry.title} (${entry.suffix})`,
      ),
    ),
  );
  const note = h("small", {});
  const strip = h("input", { type: "checkbox", id: "save-strip" });
  const stripped = h(
    "label",
    { class: "choice", for: "save-strip" },
    strip,
    h(
      "span",
      {},
      "Without the patient",
      h(
        "small",
        {},
        "For what leaves the hospital: no name, number or day, and new UIDs (DICOM PS3.15, basic profile)",
      ),
    ),
  );
  const choice = (value: "labels" | "objects", label: string, text: HTMLElement): HTMLElement =>
    h("label", { class: "choice" }, h("input", { type: "radio", name: "what", value }), h("span", {}, label, text));
  const form = h(
    "div",
    { class: "save-form" },
    h(
      "fieldset",
      {},
      h("legend", {}, "What"),
      choice("labels", "All objects in one file", note),
      choice("objects", "One file per object", h("small", {}, "A zip of masks")),
    ),
    h("label", { class: "field", for: "save-format" }, "Format", format),
    stripped,
    offered.every(possible)
      ? null
      : h(
          "p",
          { class: "muted" },
          image.dicom_formats.length > 0
            ? "RTSTRUCT needs an image with a place in the patient."
            : "DICOM SEG and RTSTRUCT refer to the DICOM files of an image, and this one is not from DICOM files.",
        ),
  );
  const [together, apart] = form.querySelectorAll<HTMLInputElement>('input[name="what"]');
  const explain = (): void => {
    const entry = offered.find((one) => one.format === format.value);
    const parted = image.policy === "overlap" && !entry?.overlaps;
    stripped.hidden = !entry?.dicom;
    together.disabled = parted;
    if (parted) apart.checked = true;
    const numbers = objects.map(({ label }) => label).sort((a, b) => a - b);
    const values = numbers.length > 6 ? [...numbers.slice(0, 5), "...", numbers.at(-1)] : numbers;
    const named = entry?.names ? "with their names" : "without names";
    note.textContent = parted
      ? "Not with overlapping objects: choose DICOM, or another overlap policy first"
      : entry?.dicom
        ? "Segments with their names and colours; they may overlap"
        : `A label map, values ${values.join(", ")}, ${named}`;
  };
  together.checked = true;
  format.addEventListener("change", explain);
  explain();
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
    const policy = store.get().image?.policy ?? "keep";
    const without = !stripped.hidden && strip.checked;
    void actions.save(api.exportPath(image.image, format.value, chosen, policy, without));
  });
  journal.addEventListener("click", () => {
    dialog.close();
    void actions.save(api.journalPath(image.image));
  });
}

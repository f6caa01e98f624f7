/** Opening a segmentation made elsewhere: every label becomes an object of the image. */

import type { Actions } from "../app/actions";
import type { AppStore } from "../state/app";
import { openDialog } from "../ui/dialog";
import { h } from "../ui/dom";
import { icon } from "../ui/icons";
import { filePicker, pathRow } from "./sources";

export function openSegmentationDialog(store: AppStore, actions: Actions): void {
  const { image, worklist } = store.get();
  if (!image) return;
  const prior = h("input", {
    type: "text",
    class: "path",
    placeholder: "/path/to/earlier-scan.nii.gz",
    "aria-label": "Path of the image that it was drawn on",
    list: "prior-images",
    spellcheck: "false",
    autocomplete: "off",
  });
  const others = worklist.items.filter((item) => item.item !== image.item).map((item) => item.path);
  const take = (source: Parameters<Actions["openSegmentation"]>[0]): void => {
    const path = prior.value.trim().replace(/^["']|["']$/g, "");
    dialog.close();
    void actions.openSegmentation(source, path || undefined);
  };
  const file = filePicker(false, take);
  const dialog: HTMLDialogElement = openDialog(
    "Open a segmentation",
    h("p", {}, `Every label becomes an object of ${image.name} with its name, colour and number, to be corrected.`),
    h(
      "div",
      { class: "open-form" },
      pathRow("/path/to/masks.seg.nrrd", take),
      h(
        "div",
        { class: "row" },
        h("button", { class: "button", onclick: () => file.click() }, icon("open"), "Choose a file"),
        file,
      ),
    ),
    h(
      "label",
      { class: "prior" },
      h("span", {}, "Drawn on another image of the patient, as last year's? It is registered to this one:"),
      prior,
      h("datalist", { id: "prior-images" }, ...others.map((path) => h("option", { value: path }))),
    ),
    h(
      "p",
      { class: "muted formats" },
      "NIfTI, NRRD (.seg.nrrd with its segments), MetaImage, TIFF, PNG, NumPy, DICOM SEG and RTSTRUCT. ",
      "A file that says no place in the patient must have the shape of the image.",
    ),
    h(
      "p",
      { class: "muted" },
      "A list of labels (JSON, ITK-SNAP, 3D Slicer's colour table) names and colours the objects, and begins the others.",
    ),
  );
  dialog.querySelector<HTMLInputElement>("input.path")?.focus();
}

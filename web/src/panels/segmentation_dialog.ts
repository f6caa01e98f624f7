/** Opening a segmentation made elsewhere: every label becomes an object of the image. */

import type { Actions } from "../app/actions";
import type { AppStore } from "../state/app";
import { openDialog } from "../ui/dialog";
import { h } from "../ui/dom";
import { icon } from "../ui/icons";
import { filePicker, pathRow } from "./sources";

export function openSegmentationDialog(store: AppStore, actions: Actions): void {
  const { image } = store.get();
  if (!image) return;
  const take = (source: Parameters<Actions["openSegmentation"]>[0]): void => {
    dialog.close();
    void actions.openSegmentation(source);
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

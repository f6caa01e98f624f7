/** Linking a second image of the patient: one of the worklist, a path, or files. */

import type { Actions } from "../app/actions";
import type { AppStore } from "../state/app";
import { openDialog } from "../ui/dialog";
import { fill, h } from "../ui/dom";
import { icon } from "../ui/icons";
import { toast } from "../ui/toast";
import { filePicker, pathRow } from "./sources";

/** Why no second image can be linked; null where one can. */
export function secondRejection(store: AppStore): string | null {
  const { image } = store.get();
  if (!image) return "Open an image first";
  if (image.dimensions !== 3) return "A second image is linked to a volume: a picture has no place in the patient";
  return image.spacing_known ? null : "The file gives no size of its voxels, so that nothing can be placed on it";
}

export function openSecondDialog(store: AppStore, actions: Actions): void {
  const { image } = store.get();
  const reason = secondRejection(store);
  if (!image || reason !== null) return toast("info", reason ?? "");
  const register = h("input", { type: "checkbox" });
  const link = (source: Parameters<Actions["second"]["link"]>[0]): void => {
    dialog.close();
    void actions.second.link(source, register.checked);
  };
  const file = filePicker(false, (files) => link(files));
  const list = h("select", { "aria-label": "Image of the worklist" });
  const row = h(
    "div",
    { class: "row path-row" },
    list,
    h(
      "button",
      {
        class: "button primary",
        onclick: () => {
          const item = store.get().worklist.items.find((one) => String(one.item) === list.value);
          if (item) link({ path: item.path, series: item.series, volume: item.volume });
        },
      },
      "Link",
    ),
  );
  const others = store.get().worklist.items.filter(({ item }) => item !== image.item);
  row.hidden = others.length === 0;
  fill(
    list,
    others.map(({ item, name }) => h("option", { value: item }, name)),
  );
  const dialog: HTMLDialogElement = openDialog(
    "Link a second image",
    h(
      "p",
      {},
      `Another image of the patient, shown over ${image.name} or beside it, as PET over CT or last year's study.`,
    ),
    h(
      "div",
      { class: "open-form" },
      row,
      pathRow("/path/to/pet.nii.gz", (path) => link({ path, series: null, volume: null })),
      h(
        "div",
        { class: "row" },
        h("button", { class: "button", onclick: () => file.click() }, icon("open"), "Choose a file"),
        file,
      ),
      h("label", { class: "row" }, register, "Register it: find how the patient moved between the two"),
    ),
    h(
      "p",
      { class: "muted" },
      "It has to be a volume. Without registration it lies where its file places it, as images of one examination do.",
    ),
  );
  (others.length > 0 ? list : dialog.querySelector<HTMLInputElement>("input.path"))?.focus();
}

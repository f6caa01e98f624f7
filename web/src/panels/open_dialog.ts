/** Opening: a path on this machine, files or a folder, something recent, or the sample. */

import type { Actions } from "../app/actions";
import type { AppStore } from "../state/app";
import { openDialog } from "../ui/dialog";
import { h } from "../ui/dom";
import type { NamedFile } from "../ui/files";
import { icon } from "../ui/icons";
import { filePicker, pathRow } from "./sources";

/** The form itself, which the empty page shows too. */
export function openForm(store: AppStore, actions: Actions, done: () => void): HTMLElement {
  const take = (files: NamedFile[]): void => {
    done();
    void actions.openFiles(files);
  };
  const file = filePicker(false, take);
  const folder = filePicker(true, take);
  const { recent, server } = store.get();
  return h(
    "div",
    { class: "open-form" },
    pathRow("/path/to/scan.nii.gz or a DICOM folder", (path) => {
      done();
      void actions.openPath(path);
    }),
    h(
      "div",
      { class: "row" },
      h("button", { class: "button", onclick: () => file.click() }, icon("open"), "Choose files"),
      h("button", { class: "button", onclick: () => folder.click() }, icon("list"), "Choose a DICOM folder"),
      server?.sample
        ? h(
            "button",
            { class: "button", onclick: () => (done(), void actions.openSample()) },
            icon("target"),
            "Open the sample",
          )
        : null,
      file,
      folder,
    ),
    recent.length > 0 ? h("h3", {}, "Recent") : null,
    recent.length > 0
      ? h(
          "ul",
          { class: "recent" },
          ...recent
            .slice(0, 6)
            .map((item) =>
              h(
                "li",
                {},
                h(
                  "button",
                  { class: "recent-item", title: item.path, onclick: () => (done(), void actions.openPath(item.path)) },
                  h("span", {}, item.name),
                  h("span", { class: "muted" }, folderOf(item.path)),
                ),
              ),
            ),
        )
      : null,
  );
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

export function openOpenDialog(store: AppStore, actions: Actions): void {
  const formats = Object.values(store.get().server?.readers ?? {}).flat();
  const dialog: HTMLDialogElement = openDialog(
    "Open an image",
    openForm(store, actions, () => dialog.close()),
    h(
      "p",
      { class: "muted formats" },
      `Opens ${[...new Set(formats)].join(", ")}, DICOM folders and zip files. Files can be dropped onto the page, too.`,
    ),
  );
  dialog.querySelector<HTMLInputElement>("input.path")?.focus();
}

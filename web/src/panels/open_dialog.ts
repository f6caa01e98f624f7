/** Opening: a path on this machine, files or a folder, something recent, or the sample. */

import type { Actions } from "../app/actions";
import type { AppStore } from "../state/app";
import { openDialog } from "../ui/dialog";
import { h } from "../ui/dom";
import { chosenFiles } from "../ui/files";
import { icon } from "../ui/icons";

/** The form itself, which the empty page shows too. */
export function openForm(store: AppStore, actions: Actions, done: () => void): HTMLElement {
  const path = h("input", {
    type: "text",
    class: "path",
    placeholder: "/path/to/scan.nii.gz or a DICOM folder",
    "aria-label": "Path on this machine",
    spellcheck: "false",
    autocomplete: "off",
  });
  const go = (): void => {
    const text = path.value.trim().replace(/^["']|["']$/g, "");
    if (!text) return path.focus();
    done();
    void actions.openPath(text);
  };
  path.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    // The dialog hands the focus back to what had it, which must not be pressed by the same key.
    event.preventDefault();
    go();
  });
  const picker = (folder: boolean): HTMLInputElement => {
    const input = h("input", {
      type: "file",
      hidden: true,
      multiple: true,
      webkitdirectory: folder,
      tabindex: -1,
      "aria-hidden": "true",
    });
    input.addEventListener("change", () => {
      const files = chosenFiles(input.files);
      if (files.length === 0) return;
      done();
      void actions.openFiles(files);
    });
    return input;
  };
  const file = picker(false);
  const folder = picker(true);
  const { recent, server } = store.get();
  return h(
    "div",
    { class: "open-form" },
    h("div", { class: "row path-row" }, path, h("button", { class: "button primary", onclick: go }, "Open")),
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

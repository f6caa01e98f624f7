/** Where a file comes from: a path on this machine, or what a person chooses. */

import { h } from "../ui/dom";
import { chosenFiles, type NamedFile } from "../ui/files";

/** A line for a path, with its button. */
export function pathRow(placeholder: string, go: (path: string) => void): HTMLElement {
  const path = h("input", {
    type: "text",
    class: "path",
    placeholder,
    "aria-label": "Path on this machine",
    spellcheck: "false",
    autocomplete: "off",
  });
  const send = (): void => {
    const text = path.value.trim().replace(/^["']|["']$/g, "");
    if (!text) return path.focus();
    go(text);
  };
  path.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    // The dialog hands the focus back to what had it, which must not be pressed by the same key.
    event.preventDefault();
    send();
  });
  return h("div", { class: "row path-row" }, path, h("button", { class: "button primary", onclick: send }, "Open"));
}

/** A hidden control that a button presses. */
export function filePicker(folder: boolean, take: (files: NamedFile[]) => void): HTMLInputElement {
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
    if (files.length > 0) take(files);
  });
  return input;
}

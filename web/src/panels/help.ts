/** All keys in one place. */

import type { Actions } from "../app/actions";
import type { AppStore } from "../state/app";
import { TOOLS } from "../tools/catalogue";
import { openDialog } from "../ui/dialog";
import { h } from "../ui/dom";
import { startTour } from "./tour";

const KEYS: [string, [string, string][]][] = [
  [
    "Tools",
    TOOLS.map((tool): [string, string] => [
      tool.key,
      `${tool.label}: ${tool.hint.charAt(0).toLowerCase()}${tool.hint.slice(1)}`,
    ]),
  ],
  [
    "Prompts and objects",
    [
      ["X", "Object or background"],
      ["Shift", "The other sign while held"],
      ["Right click", "Point of the other sign"],
      ["G", "Where to click next; again to take it"],
      ["T", "Another mask that the prompts may mean"],
      ["F", "Fill, smooth, grow or combine the mask"],
      ["A", "Carry the mask of one slice along the others"],
      ["K", "Find all that is like the objects shown"],
      ["J, Delete, Enter", "Next proposal; drop it; take all"],
      ["Ctrl Z", "Undo"],
      ["Ctrl Shift Z", "Redo"],
      ["N", "New object"],
      ["Delete", "Delete the last prompt"],
      ["Enter, Esc", "Send or drop a 3D box"],
      ["Esc", "Stop the answer under way"],
      ["[  ]", "Smaller or larger brush"],
    ],
  ],
  [
    "View",
    [
      ["Wheel", "Slice (Shift: ten at once)"],
      ["Ctrl wheel, + −", "Zoom"],
      ["Middle or Space drag", "Move the picture"],
      ["Right drag", "Window: right widens, down darkens"],
      ["1 to 9", "Window presets"],
      ["Arrows", "Move the crosshair"],
      ["Page Up, Page Down", "Slice"],
      ["R", "Fit to the view"],
      ["U", "Views two by two, in a row, or one large"],
      ["Y", "Second image: link one; over, beside, hidden"],
      ["Q", "Segment on the first or the second image"],
      ["V, C, I", "Masks, crosshair, smoothing"],
      [", .", "Previous and next image"],
      ["O, Ctrl S", "Open, save"],
      ["H", "The hospital's PACS, where one is configured"],
    ],
  ],
];

export function openHelp(store: AppStore, actions: Actions): void {
  const { server } = store.get();
  const dialog: HTMLDialogElement = openDialog(
    "Keys and help",
    h(
      "div",
      { class: "keys" },
      ...KEYS.map(([title, keys]) =>
        h(
          "section",
          {},
          h("h3", {}, title),
          h(
            "dl",
            {},
            ...keys.flatMap(([key, text]) => [
              h(
                "dt",
                {},
                ...key
                  .split(/\s+/)
                  .filter(Boolean)
                  .map((part) => h("kbd", {}, part)),
              ),
              h("dd", {}, text),
            ]),
          ),
        ),
      ),
    ),
    h(
      "p",
      { class: "muted" },
      `Bedside ${server?.version ?? ""}. Not a medical device. Work is kept in ${server?.workspace ?? "the workspace"}.`,
    ),
    server?.sample
      ? h(
          "div",
          { class: "dialog-actions" },
          h(
            "button",
            { class: "button", onclick: () => (dialog.close(), void startTour(store, actions)) },
            "Take the tour",
          ),
        )
      : null,
  );
  dialog.classList.add("wide");
}

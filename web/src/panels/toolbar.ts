/** The rail of tools, and the line of options of the tool in hand. */

import type { Actions } from "../app/actions";
import { type AppStore, ARRANGEMENTS, type Arrangement, currentObject } from "../state/app";
import { sendBox } from "../tools/box_tool";
import {
  candidatesRejection,
  carryRejection,
  editRejection,
  likeRejection,
  negativeRejection,
  rejection,
  suggestRejection,
  TOOLS,
  toolEntry,
} from "../tools/catalogue";
import { deepBoxRejection } from "../tools/rejections";
import { fill, h } from "../ui/dom";
import { type IconName, icon } from "../ui/icons";
import { roving } from "../ui/toolbar";
import { openEditDialog } from "./edit_dialog";
import { carriedBar, proposalBar } from "./findings";

function railButton(name: IconName, label: string, key: string, onclick: () => void): HTMLButtonElement {
  return h(
    "button",
    { class: key.length > 1 ? "tool tool-long" : "tool", "aria-keyshortcuts": key, onclick },
    icon(name),
    h("span", { class: "tool-label" }, label),
    h("kbd", {}, key),
  );
}

/** Greyed out with its reason, and still reachable, so that the reason can be read. */
function reject(button: HTMLButtonElement, reason: string | null, title: string): void {
  button.title = reason ?? title;
  button.setAttribute("aria-disabled", String(reason !== null));
}

export function toolRail(store: AppStore, actions: Actions): HTMLElement {
  const buttons = TOOLS.map((entry) => ({
    entry,
    button: railButton(entry.icon, entry.label, entry.key, () => chooseTool(store, entry.name)),
  }));
  const suggest = railButton("suggest", "Suggest", "G", () => suggestOrAccept(store, actions));
  const another = railButton("size", "Another", "T", () => void actions.nextCandidate());
  const edit = railButton("edit", "Edit", "F", () => void openEditDialog(store, actions));
  const carry = railButton("carry", "Propagate", "A", () => void actions.finding.propagate());
  const like = railButton("alike", "Find like", "K", () => void actions.finding.find());
  const undo = railButton("undo", "Undo", "Ctrl Z", () => actions.undo());
  const redo = railButton("redo", "Redo", "Ctrl Y", () => actions.redo());
  store.watch(["tool", "image", "objects", "current", "taken", "untaken", "version"], () => {
    const state = store.get();
    for (const { entry, button } of buttons) {
      reject(button, rejection(entry, state), `${entry.hint} (${entry.key})`);
      button.setAttribute("aria-pressed", String(state.tool === entry.name));
    }
    const object = currentObject(state);
    reject(suggest, suggestRejection(state), "Show where a click would help most (G)");
    reject(another, candidatesRejection(state), "Another mask that the prompts may mean (T)");
    reject(edit, editRejection(state), "Fill, smooth, grow, shrink or combine the mask (F)");
    reject(carry, carryRejection(state), "Carry the mask of one slice along the others (A)");
    reject(like, likeRejection(state), "Find all that is like the objects that are shown (K)");
    const taken = state.taken?.version === state.version;
    reject(undo, object?.can_undo || taken ? null : "Nothing to undo", "Undo (Ctrl+Z)");
    const untaken = state.untaken?.version === state.version;
    reject(redo, object?.can_redo || untaken ? null : "Nothing to redo", "Redo (Ctrl+Shift+Z or Ctrl+Y)");
  });
  const group = (...children: HTMLElement[]): HTMLElement => h("div", { class: "tool-group" }, ...children);
  const all = buttons.map(({ button }) => button);
  const rail = h(
    "div",
    { class: "rail", role: "toolbar", "aria-orientation": "vertical", "aria-label": "Tools", "data-tour": "tools" },
    group(...all.slice(0, 2)),
    group(...all.slice(2, 6)),
    group(...all.slice(6)),
    group(suggest, another, edit, carry, like),
    group(undo, redo),
  );
  roving(rail).refresh();
  return rail;
}

export function chooseTool(store: AppStore, name: (typeof TOOLS)[number]["name"]): void {
  store.set({
    tool: name,
    shapedBox: null,
    ...(negativeRejection(toolEntry(name), store.get()) ? { positive: true } : {}),
  });
}

/** The first time shows the place, the second takes it. */
export function suggestOrAccept(store: AppStore, actions: Actions): void {
  const state = store.get();
  if (suggestRejection(state) !== null) return;
  if (state.suggestion) actions.prompt(state.suggestion);
  else void actions.suggest();
}

export function optionBar(store: AppStore, actions: Actions): HTMLElement {
  const bar = h("div", { class: "options", role: "toolbar", "aria-label": "Options of the tool" });
  const rover = roving(bar);
  store.watch(
    [
      "tool",
      "positive",
      "box3d",
      "shapedBox",
      "brushSize",
      "image",
      "suggestion",
      "crosshair",
      "masksShown",
      "smooth",
      "fill",
      "objects",
      "current",
      "proposals",
      "carried",
      "version",
      "arrangement",
    ],
    () => {
      const state = store.get();
      const entry = toolEntry(state.tool);
      if (!state.image) return fill(bar);
      const findings = proposalBar(store, actions) ?? carriedBar(store, actions);
      if (findings) {
        fill(bar, findings, h("span", { class: "spacer" }), ...displaySwitches(store));
        return rover.refresh();
      }
      const reason = rejection(entry, state);
      fill(
        bar,
        entry.signed ? signSwitch(store) : null,
        entry.name === "box" && state.image.dimensions === 3 ? boxSwitch(store) : null,
        entry.kind === "mask" ? brushSize(store) : null,
        shapedBoxButtons(store, actions),
        state.suggestion
          ? h(
              "button",
              { class: "button primary", "data-key": "accept", onclick: () => suggestOrAccept(store, actions) },
              "Take the suggestion",
              h("kbd", {}, "G"),
            )
          : null,
        state.shapedBox
          ? null
          : h(
              "span",
              { class: reason ? "hint hint-rejected" : "hint", title: reason ?? entry.hint },
              reason ?? entry.hint,
            ),
        h("span", { class: "spacer" }),
        ...displaySwitches(store),
      );
      rover.refresh();
    },
  );
  return bar;
}

function toggle(
  key: string,
  pressed: boolean,
  title: string,
  onclick: () => void,
  ...content: (Node | string)[]
): HTMLButtonElement {
  return h(
    "button",
    { class: "segment", "data-key": key, "aria-pressed": String(pressed), title, onclick },
    ...content,
  );
}

function signSwitch(store: AppStore): HTMLElement {
  const state = store.get();
  const reason = negativeRejection(toolEntry(state.tool), state);
  const minus = toggle(
    "minus",
    !state.positive,
    reason ?? "What does not belong to it (X)",
    () => {
      if (!reason) store.set({ positive: false });
    },
    icon("minus"),
    "Background",
  );
  minus.setAttribute("aria-disabled", String(reason !== null));
  return h(
    "div",
    { class: "segments signs", role: "group", "aria-label": "Sign of the prompt" },
    toggle(
      "plus",
      state.positive,
      "What belongs to the object (X)",
      () => store.set({ positive: true }),
      icon("plus"),
      "Object",
    ),
    minus,
    h("kbd", {}, "X"),
  );
}

function boxSwitch(store: AppStore): HTMLElement {
  const reason = deepBoxRejection(store.get());
  const box3d = store.get().box3d && reason === null;
  const deep = toggle(
    "box3d",
    box3d,
    reason ?? "In three dimensions, shaped in all views before it is sent",
    () => {
      if (!reason) store.set({ box3d: true });
    },
    "3D",
  );
  deep.setAttribute("aria-disabled", String(reason !== null));
  return h(
    "div",
    { class: "segments", role: "group", "aria-label": "Kind of box" },
    toggle(
      "box2d",
      !box3d,
      "On this slice, sent at once",
      () => store.set({ box3d: false, shapedBox: null }),
      "One slice",
    ),
    deep,
  );
}

function brushSize(store: AppStore): HTMLElement {
  const { brushSize: size } = store.get();
  const input = h("input", {
    type: "range",
    min: 1,
    max: 60,
    step: 1,
    value: size,
    "data-key": "brush-size",
    "aria-label": "Diameter of the brush in voxels",
  });
  input.addEventListener("input", () => store.set({ brushSize: Number(input.value) }));
  return h(
    "label",
    { class: "range" },
    "Size",
    input,
    h("span", { class: "value" }, size),
    h("kbd", {}, "["),
    h("kbd", {}, "]"),
  );
}

function shapedBoxButtons(store: AppStore, actions: Actions): HTMLElement | null {
  const { shapedBox } = store.get();
  if (!shapedBox) return null;
  return h(
    "div",
    { class: "row" },
    h(
      "button",
      { class: "button primary", "data-key": "send-box", onclick: () => sendShapedBox(store, actions) },
      "Segment the box",
      h("kbd", {}, "Enter"),
    ),
    h(
      "button",
      { class: "button", "data-key": "drop-box", onclick: () => store.set({ shapedBox: null }) },
      "Cancel",
      h("kbd", {}, "Esc"),
    ),
  );
}

export function sendShapedBox(store: AppStore, actions: Actions): void {
  const { shapedBox, positive } = store.get();
  const place = actions.workplace;
  if (!shapedBox || !place) return;
  store.set({ shapedBox: null });
  sendBox({ place, actions }, shapedBox, positive, performance.now());
}

const ARRANGED: Record<Arrangement, [name: IconName, text: string]> = {
  grid: ["grid", "two by two"],
  row: ["columns", "three in a row"],
  main: ["aside", "one large"],
};

/** The next arrangement of the views. */
export function arrangeNext(store: AppStore): void {
  const at = ARRANGEMENTS.indexOf(store.get().arrangement);
  store.set({ arrangement: ARRANGEMENTS[(at + 1) % ARRANGEMENTS.length], layout: "all" });
}

function arrangementButton(store: AppStore): HTMLElement {
  const [name, text] = ARRANGED[store.get().arrangement];
  return h(
    "button",
    {
      class: "icon-button",
      "data-key": "arrangement",
      "aria-label": `Arrange the views; now ${text}`,
      title: `Arrange the views: two by two, three in a row, or one large (U); now ${text}`,
      onclick: () => arrangeNext(store),
    },
    icon(name),
  );
}

function displaySwitches(store: AppStore): HTMLElement[] {
  const state = store.get();
  const fillRange = h("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 0.05,
    value: state.fill,
    "data-key": "fill",
    "aria-label": "Opacity of the masks",
  });
  fillRange.addEventListener("input", () => store.set({ fill: Number(fillRange.value) }));
  const eye = h(
    "button",
    {
      class: "icon-button",
      "data-key": "masks",
      "aria-pressed": String(state.masksShown),
      "aria-label": "Show masks and prompts",
      title: "Show masks and prompts (V)",
      onclick: () => store.set({ masksShown: !state.masksShown }),
    },
    icon(state.masksShown ? "eye" : "hidden"),
  );
  const volume = state.image?.dimensions === 3;
  const cross = h(
    "button",
    {
      class: "icon-button",
      "data-key": "crosshair",
      "aria-pressed": String(state.crosshair),
      "aria-label": "Show the crosshair",
      title: "Show the crosshair (C)",
      onclick: () => store.set({ crosshair: !state.crosshair }),
    },
    icon("target"),
  );
  const smooth = h(
    "button",
    {
      class: "icon-button",
      "data-key": "smooth",
      "aria-pressed": String(state.smooth),
      "aria-label": "Smooth the picture",
      title: "Smooth between voxels (I)",
      onclick: () => store.set({ smooth: !state.smooth }),
    },
    icon("scribble"),
  );
  return [
    h("label", { class: "range", title: "Opacity of the masks" }, eye, fillRange),
    ...(volume ? [cross, arrangementButton(store)] : []),
    smooth,
  ];
}

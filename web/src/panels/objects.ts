/** The list of objects: name, colour, what is seen, what is locked, how large it is. */

import type { ObjectInfo, Policy } from "../api/messages";
import type { Actions } from "../app/actions";
import type { AppStore } from "../state/app";
import { confirmDialog } from "../ui/dialog";
import { fill, h } from "../ui/dom";
import { icon } from "../ui/icons";
import { openSegmentationDialog } from "./segmentation_dialog";

/** Expected DSC from which a mask is called good, and from which it is worth a look; below that it is doubtful. */
const GOOD = 0.85;
const FAIR = 0.65;

const POLICIES: { policy: Policy; label: string; title: string }[] = [
  { policy: "keep", label: "earlier keeps", title: "Where two objects claim a voxel, the earlier one keeps it" },
  { policy: "overwrite", label: "later takes", title: "Where two objects claim a voxel, the later one takes it" },
  { policy: "overlap", label: "both have it", title: "Objects may overlap; they are then saved one file each" },
];

export function objectsPanel(store: AppStore, actions: Actions): HTMLElement {
  const list = h("ul", { class: "object-list" });
  const add = h(
    "button",
    { class: "button small", title: "Begin a new object (N)", onclick: () => void actions.addObject() },
    icon("plus"),
    "New",
    h("kbd", {}, "N"),
  );
  const load = h(
    "button",
    {
      class: "button small from-file",
      "aria-label": "From file",
      title: "Open a segmentation (NIfTI, NRRD, DICOM SEG, ...): its labels become objects",
      onclick: () => openSegmentationDialog(store, actions),
    },
    icon("open"),
    h("span", {}, "From file"),
  );
  const policy = h(
    "select",
    { class: "policy" },
    ...POLICIES.map((entry) => h("option", { value: entry.policy, title: entry.title }, entry.label)),
  );
  policy.addEventListener("change", () => void actions.setPolicy(policy.value as Policy));
  const overlap = h("label", { class: "overlap", title: "Where two objects claim a voxel" }, "Overlap", policy);
  const panel = h(
    "section",
    { class: "panel objects", "aria-label": "Objects", "data-tour": "objects" },
    h("div", { class: "panel-head" }, h("h2", {}, "Objects"), load, add),
    list,
    overlap,
  );
  store.watch(["objects", "current", "pending", "image"], () => {
    const { objects, image } = store.get();
    panel.hidden = !image;
    // A name that is being written is not to be swept away by an answer.
    if (list.querySelector("input.rename")) return;
    fill(
      list,
      objects.length > 0
        ? objects.map((object) => row(store, actions, object))
        : h("li", { class: "empty-line" }, "None yet: the first prompt begins one."),
    );
    overlap.hidden = objects.length < 2;
    policy.value = image?.policy ?? "keep";
  });
  return panel;
}

function row(store: AppStore, actions: Actions, object: ObjectInfo): HTMLElement {
  const state = store.get();
  const current = object.id === state.current;
  const busy = state.pending.some((pending) => pending.object === object.id || (pending.object === null && current));
  const colour = h("input", {
    type: "color",
    value: object.colour,
    "aria-label": `Colour of ${object.name}`,
    title: "Colour",
    "data-key": `colour-${object.id}`,
  });
  colour.addEventListener("change", () => void actions.updateObject(object.id, { colour: colour.value }));
  const name = h(
    "button",
    {
      class: "object-name",
      "data-key": `name-${object.id}`,
      "aria-current": current ? "true" : null,
      title: `${object.name} (double-click or F2 to rename)`,
      onclick: () => void actions.select(object.id),
    },
    h("span", { class: "name-text" }, object.name),
    busy
      ? h("span", { class: "spinner", role: "img", "aria-label": "The model is at work" })
      : h("span", { class: "size" }, sizeOf(object)),
  );
  const rename = (): void => startRename(name, object, actions);
  name.addEventListener("dblclick", rename);
  name.addEventListener("keydown", (event) => {
    if (event.key === "F2") rename();
  });
  const quality = object.quality;
  return h(
    "li",
    { class: current ? "object current" : "object" },
    colour,
    name,
    quality !== null ? h("span", { class: "quality", title: gradeHint(quality) }, gradeOf(quality)) : null,
    switchButton(
      `eye-${object.id}`,
      object.visible,
      object.visible ? "eye" : "hidden",
      `${object.visible ? "Hide" : "Show"} ${object.name}`,
      () => void actions.updateObject(object.id, { visible: !object.visible }),
    ),
    switchButton(
      `lock-${object.id}`,
      object.locked,
      object.locked ? "lock" : "unlock",
      `${object.locked ? "Unlock" : "Lock"} ${object.name}`,
      () => void actions.updateObject(object.id, { locked: !object.locked }),
    ),
    switchButton(`delete-${object.id}`, null, "trash", `Delete ${object.name}`, () => void remove(actions, object)),
  );
}

function switchButton(
  key: string,
  pressed: boolean | null,
  name: Parameters<typeof icon>[0],
  title: string,
  onclick: () => void,
): HTMLElement {
  const button = h(
    "button",
    {
      class: "icon-button small",
      "data-key": key,
      title,
      "aria-label": title,
      "aria-pressed": pressed === null ? null : String(pressed),
      onclick,
    },
    icon(name),
  );
  return button;
}

export /** What the model's estimate is worth saying: a word, because the number promises more than it holds. */
function gradeOf(quality: number): string {
  if (quality >= GOOD) return "good";
  return quality >= FAIR ? "check" : "doubtful";
}

function gradeHint(quality: number): string {
  return `The model expects an overlap (DSC) of about ${quality.toFixed(1)} with the object: ${gradeOf(quality)}`;
}

function sizeOf(object: ObjectInfo): string {
  if (object.voxels === 0) return "empty";
  if (object.unit === "voxels" || object.unit === "pixels")
    return `${object.voxels} ${object.unit === "voxels" ? "vx" : "px"}`;
  const digits = object.volume >= 100 ? 0 : object.volume >= 1 ? 1 : 3;
  return `${object.volume.toFixed(digits)} ${object.unit === "mm2" ? "mm²" : object.unit}`;
}

function startRename(name: HTMLElement, object: ObjectInfo, actions: Actions): void {
  const input = h("input", { class: "rename", value: object.name, maxlength: 200, "aria-label": "Name of the object" });
  let done = false;
  const finish = (keep: boolean): void => {
    if (done) return;
    done = true;
    const text = input.value.trim();
    input.replaceWith(name);
    name.focus();
    if (keep && text && text !== object.name) void actions.updateObject(object.id, { name: text });
  };
  input.addEventListener("keydown", (event) => {
    event.stopPropagation();
    if (event.key === "Enter") finish(true);
    if (event.key === "Escape") finish(false);
  });
  input.addEventListener("blur", () => finish(true));
  name.replaceWith(input);
  input.focus();
  input.select();
}

async function remove(actions: Actions, object: ObjectInfo): Promise<void> {
  if (object.prompts > 0) {
    const sure = await confirmDialog(
      `Delete ${object.name}?`,
      "Its mask and prompts go with it. This cannot be undone.",
      "Delete",
    );
    if (!sure) return;
  }
  await actions.deleteObject(object.id);
}

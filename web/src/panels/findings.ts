/** The line that stands in place of a tool's options while something that the network found is looked at. */

import type { Carried } from "../api/messages";
import type { Actions } from "../app/actions";
import type { AppStore } from "../state/app";
import { accepted, shown } from "../state/proposals";
import { h } from "../ui/dom";
import { icon } from "../ui/icons";

const ENDS: Record<Carried["low"], string> = {
  end: "the end of the image",
  empty: "nothing more was seen",
  quality: "the network is not sure",
  overlap: "the shape changes too much",
};

/** The proposals: how many, how alike, and what becomes of them. */
export function proposalBar(store: AppStore, actions: Actions): HTMLElement | null {
  const found = store.get().proposals;
  if (!found) return null;
  const { finding } = actions;
  const all = shown(found);
  const taken = accepted(found).length;
  const range = h("input", {
    type: "range",
    min: Math.min(...found.all.map(({ score }) => score)),
    max: found.all[0].score,
    step: "any",
    value: found.threshold,
    "data-key": "threshold",
    "aria-label": "How alike a proposal has to be",
    "aria-valuetext": `${Math.round(100 * found.threshold)} %`,
  });
  range.addEventListener("input", () => finding.setThreshold(Number(range.value)));
  const at = all.findIndex(({ proposal }) => proposal === found.at);
  const dropped = found.at !== null && found.dropped.includes(found.at);
  const button = (key: string, text: string, keys: string, title: string, onclick: () => void): HTMLElement =>
    h("button", { class: "button small", "data-key": key, title, onclick }, text, h("kbd", {}, keys));
  return h(
    "div",
    { class: "row findings" },
    h(
      "button",
      { class: "button small primary", "data-key": "take-all", onclick: () => void finding.accept() },
      icon("check"),
      `Take ${taken}`,
      h("kbd", {}, "Enter"),
    ),
    button("discard", "Discard", "Esc", "Drop all; nothing has changed", () => finding.discard()),
    h("label", { class: "range", title: "How alike a proposal has to be" }, "Alike", range),
    button("next", `${at + 1} of ${all.length}`, "J", "To the next proposal (Shift+J: the one before)", () =>
      finding.step(1),
    ),
    button(
      "drop",
      dropped ? "Take it" : "Drop it",
      "Delete",
      "The one in hand; a click on any other does the same",
      () => finding.toggle(),
    ),
  );
}

/** How far a mask was carried, and whether it stays. */
export function carriedBar(store: AppStore, actions: Actions): HTMLElement | null {
  const { carried, version } = store.get();
  if (!carried || carried.version !== version) return null;
  const { first, last, low, high } = carried.info;
  const stopped = low === high ? `Stopped: ${ENDS[low]}` : `Below: ${ENDS[low]}; above: ${ENDS[high]}`;
  return h(
    "div",
    { class: "row findings" },
    h(
      "button",
      { class: "button small primary", "data-key": "keep", onclick: () => actions.finding.keep() },
      icon("check"),
      "Keep",
      h("kbd", {}, "Enter"),
    ),
    h(
      "button",
      { class: "button small", "data-key": "discard", onclick: () => actions.undo() },
      "Discard",
      h("kbd", {}, "Ctrl Z"),
    ),
    h("span", { class: "hint", role: "status", title: stopped }, `Slices ${first + 1} to ${last + 1}. ${stopped}`),
  );
}

/** The prompts in force of the current object, oldest first. */

import type { PromptInfo } from "../api/messages";
import type { Actions } from "../app/actions";
import { type AppStore, currentObject } from "../state/app";
import { fill, h } from "../ui/dom";
import { type IconName, icon } from "../ui/icons";
import { placeOf } from "../views/markers";

const ICONS: Record<string, IconName> = {
  point: "point",
  box: "box",
  scribble: "scribble",
  lasso: "lasso",
  mask: "brush",
};
const NAMES: Record<string, string> = {
  point: "Point",
  box: "Box",
  scribble: "Scribble",
  lasso: "Lasso",
  mask: "Mask, painted or opened",
};

export function promptsPanel(store: AppStore, actions: Actions): HTMLElement {
  const list = h("ol", { class: "prompt-list" });
  const count = h("span", { class: "muted" });
  const panel = h(
    "section",
    { class: "panel prompts", "aria-label": "Prompts", "data-tour": "prompts" },
    h("div", { class: "panel-head" }, h("h2", {}, "Prompts"), count),
    list,
  );
  let shown = "";
  store.watch(["prompts", "current", "objects", "image"], () => {
    const state = store.get();
    panel.hidden = !state.image;
    const prompts = state.current !== null ? (state.prompts[state.current] ?? []) : [];
    const name = currentObject(state)?.name;
    count.textContent = name && prompts.length > 0 ? `of ${name}` : "";
    fill(
      list,
      prompts.length > 0
        ? prompts.map((info) => row(store, actions, info))
        : h("li", { class: "empty-line" }, name ? "None in force." : "Point at something."),
    );
    const key = prompts.map((info) => info.id).join();
    if (key !== shown) list.scrollTop = list.scrollHeight;
    shown = key;
    if (state.hovered !== null && !prompts.some((info) => info.id === state.hovered)) store.set({ hovered: null });
  });
  return panel;
}

function row(store: AppStore, actions: Actions, info: PromptInfo): HTMLElement {
  const hover = (on: boolean) => () => store.set({ hovered: on ? info.id : null });
  const place = placeOf(info.prompt);
  const where = place ? place.map((value) => Math.round(value)).join(", ") : "";
  const label = `${NAMES[info.kind] ?? info.kind}${where ? ` at ${where}` : ""}`;
  return h(
    "li",
    {
      class: "prompt",
      onmouseenter: hover(true),
      onmouseleave: hover(false),
      onfocusin: hover(true),
      onfocusout: hover(false),
    },
    h(
      "button",
      {
        class: "prompt-name",
        "data-key": `prompt-${info.id}`,
        title: `${info.positive ? "Object" : "Background"}: go there`,
        onclick: () => place && actions.goTo(place),
      },
      h("span", { class: info.positive ? "sign sign-plus" : "sign sign-minus" }, info.positive ? "+" : "−"),
      icon(ICONS[info.kind] ?? "point"),
      h("span", { class: "prompt-text" }, NAMES[info.kind] ?? info.kind),
      h("span", { class: "where" }, where),
    ),
    h(
      "button",
      {
        class: "icon-button small",
        "data-key": `remove-${info.id}`,
        title: `Delete this prompt`,
        "aria-label": `Delete: ${label}`,
        onclick: () => actions.removePrompt(info.id),
      },
      icon("trash"),
    ),
  );
}

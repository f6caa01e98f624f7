/** The images of a folder, their state, and the way through them. */

import type { Item, WorkState } from "../api/messages";
import type { Actions } from "../app/actions";
import type { AppStore } from "../state/app";
import { fill, h } from "../ui/dom";
import { icon } from "../ui/icons";
import { roving } from "../ui/toolbar";

const STATES: Record<WorkState, string> = { new: "New", "in progress": "In progress", done: "Done" };

export function worklistPanel(store: AppStore, actions: Actions): HTMLElement {
  const list = h("ol", { class: "work-list" });
  const rover = roving(list);
  const summary = h("p", { class: "work-summary" });
  const done = h("button", { class: "button small", "data-key": "done" });
  const save = h("input", { type: "checkbox", id: "save-on-done" });
  const saving = h(
    "label",
    {
      class: "save-on-done",
      for: save.id,
      title: "Writes CASE-labels and a list of labels beside the image, as `bedside export`",
    },
    save,
    "Save beside the image",
  );
  save.addEventListener("change", () => store.set({ saveOnDone: save.checked }));
  store.watch(["saveOnDone"], () => {
    save.checked = store.get().saveOnDone;
  });
  const step = (direction: 1 | -1): HTMLElement => {
    const title = direction > 0 ? "Next image (.)" : "Previous image (,)";
    return h(
      "button",
      { class: "icon-button", title, "aria-label": title, onclick: () => void actions.step(direction) },
      icon(direction > 0 ? "next" : "previous"),
    );
  };
  const panel = h(
    "aside",
    { class: "worklist", "aria-label": "Worklist", "data-tour": "worklist" },
    h("div", { class: "panel-head" }, h("h2", {}, "Worklist"), h("div", { class: "row" }, step(-1), step(1))),
    summary,
    list,
    saving,
    done,
  );
  done.addEventListener("click", () => void toggleDone(store, actions));
  store.watch(["worklist", "image", "loading"], () => {
    const { worklist, image } = store.get();
    const { items, counts, scanning } = worklist;
    panel.hidden = items.length < 2 && !scanning;
    const finished = counts.done ?? 0;
    summary.replaceChildren(
      h(
        "span",
        { class: "work-bar", role: "img", "aria-label": `${finished} of ${items.length} done` },
        h("span", { style: `width:${items.length > 0 ? (100 * finished) / items.length : 0}%` }),
      ),
      h("span", {}, scanning ? `${items.length} found, still looking` : `${finished} of ${items.length} done`),
    );
    fill(
      list,
      items.map((item) => row(actions, item, item.item === image?.item)),
    );
    rover.refresh();
    const current = items.find((item) => item.item === image?.item);
    done.hidden = saving.hidden = !current;
    fill(done, icon("check"), current?.state === "done" ? "Reopen" : "Done, next");
    done.classList.toggle("primary", current?.state !== "done");
  });
  let seen: number | null = null;
  store.watch(["image"], () => {
    const item = store.get().image?.item ?? null;
    if (item !== seen) list.querySelector('[aria-current="true"]')?.scrollIntoView({ block: "nearest" });
    seen = item;
  });
  return panel;
}

async function toggleDone(store: AppStore, actions: Actions): Promise<void> {
  const { worklist, image } = store.get();
  const position = worklist.items.findIndex((item) => item.item === image?.item);
  const item = worklist.items[position];
  if (!item) return;
  if (item.state === "done") return actions.setItemState(item.item, "in progress");
  if (!(await actions.finish(item.item))) return;
  const rest = [...worklist.items.slice(position + 1), ...worklist.items.slice(0, position)];
  const next = rest.find((other) => other.state !== "done");
  if (next) await actions.openItem(next.item);
}

function row(actions: Actions, item: Item, current: boolean): HTMLElement {
  const state = item.problem ? "problem" : item.state.replace(" ", "-");
  const label = item.problem ? "Does not open" : STATES[item.state];
  const objects = item.objects > 0 ? `${item.objects} ${item.objects === 1 ? "object" : "objects"}` : "";
  return h(
    "li",
    {},
    h(
      "button",
      {
        class: "work-item",
        "data-key": `item-${item.item}`,
        "aria-current": current ? "true" : null,
        title: item.problem ?? item.path,
        onclick: () => void actions.openItem(item.item),
      },
      h(
        "span",
        { class: `dot dot-${state}`, "aria-hidden": "true" },
        item.state === "done" && !item.problem ? icon("check") : null,
      ),
      h("span", { class: "work-name" }, item.name),
      h("span", { class: "work-state" }, [label, objects].filter(Boolean).join(", ")),
    ),
  );
}

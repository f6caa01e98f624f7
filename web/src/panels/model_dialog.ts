/** The models, what they take, and why one cannot be chosen. */

import type { ModelInfo } from "../api/messages";
import type { Actions } from "../app/actions";
import type { AppStore } from "../state/app";
import { remedy } from "../tools/catalogue";
import { openDialog } from "../ui/dialog";
import { h } from "../ui/dom";

export function openModelDialog(store: AppStore, actions: Actions): void {
  const { models, image } = store.get();
  if (!image) return;
  const dialog: HTMLDialogElement = openDialog(
    "Model",
    h("p", { class: "muted" }, "A new model answers all prompts of this image again."),
    h(
      "ul",
      { class: "models" },
      ...[...models]
        .sort((a, b) => Number(b.available) - Number(a.available))
        .map((model) =>
          row(model, reasonFor(model, image.dimensions), model.name === image.model, () => {
            dialog.close();
            if (model.name !== image.model) void actions.setModel(model.name);
          }),
        ),
    ),
  );
}

function reasonFor(model: ModelInfo, dimensions: number): string | null {
  if (!model.available) return model.reason ?? "its weights are missing";
  if (!model.tools.dimensions.includes(dimensions))
    return `it takes ${model.tools.dimensions.join("D and ")}D images only`;
  return null;
}

function row(model: ModelInfo, reason: string | null, current: boolean, onclick: () => void): HTMLElement {
  const kinds = model.tools.prompt_kinds.filter((kind) => kind !== "mask");
  return h(
    "li",
    {},
    h(
      "button",
      {
        class: "model",
        "aria-disabled": String(reason !== null),
        "aria-current": current ? "true" : null,
        title: reason ?? model.summary,
        onclick: () => reason === null && onclick(),
      },
      h("span", { class: "model-name" }, model.name, current ? h("span", { class: "chip" }, "in use") : null),
      h("span", { class: "model-summary" }, reason === null ? model.summary : `Not available here: ${remedy(reason)}`),
      h(
        "span",
        { class: "model-facts" },
        `${(model.parameters / 1e6).toFixed(1)} M parameters, ${model.tools.dimensions.join("D and ")}D, ${kinds.join(", ")}, ${model.licence}`,
      ),
    ),
  );
}

/** Classical tools on the current object's mask: fill, keep, smooth, grow, combine. */

import { api } from "../api/client";
import type { EditInfo } from "../api/messages";
import type { Actions } from "../app/actions";
import { type AppStore, currentObject } from "../state/app";
import { openDialog } from "../ui/dialog";
import { h } from "../ui/dom";
import { toast } from "../ui/toast";

export async function openEditDialog(store: AppStore, actions: Actions): Promise<void> {
  const object = currentObject(store.get());
  if (!object || actions.rejectLocked()) return;
  let tools: EditInfo[];
  try {
    tools = (await api.edits()).edits;
  } catch (error) {
    toast("error", String(error));
    return;
  }
  const others = store.get().objects.filter((other) => other.id !== object.id);
  tools = tools.filter((tool) => !tool.combines || others.length > 0);
  const tool = h(
    "select",
    { id: "edit-tool" },
    ...tools.map((entry) => h("option", { value: entry.name }, entry.title)),
  );
  const value = h("input", { id: "edit-value", type: "number", step: "any" });
  const unit = h("span", { class: "muted" });
  const amount = h("div", { class: "row" }, value, unit);
  const other = h(
    "select",
    { "aria-label": "The other object" },
    ...others.map((entry) => h("option", { value: entry.id }, entry.name)),
  );
  const help = h("p", { class: "muted", role: "status" });
  const send = h("button", { class: "button primary", type: "submit" }, "Apply");
  const chosen = (): EditInfo | undefined => tools.find((entry) => entry.name === tool.value);
  const show = (): void => {
    const entry = chosen();
    if (!entry) return;
    const flat = entry.sliced && store.get().image?.dimensions === 2;
    help.textContent = flat ? `${entry.help} A picture has one slice: this needs a volume or a film.` : entry.help;
    send.disabled = flat;
    amount.hidden = entry.unit === null;
    other.hidden = !entry.combines;
    value.value = String(entry.default ?? "");
    value.min = String(entry.least ?? "");
    value.max = String(entry.most ?? "");
    value.setAttribute("aria-label", `How much, in ${entry.unit ?? ""}`);
    unit.textContent = entry.unit ?? "";
  };
  const apply = (): void => {
    const entry = chosen();
    if (!entry || (entry.unit !== null && !value.reportValidity())) return;
    dialog.close();
    const number = entry.unit !== null && value.value !== "" ? Number(value.value) : null;
    void actions.edit(object.id, entry.name, number, entry.combines ? Number(other.value) : null);
  };
  tool.addEventListener("change", show);
  const form = h(
    "form",
    { class: "open-form" },
    h("label", { for: "edit-tool" }, "Tool"),
    tool,
    help,
    amount,
    other,
    h("div", { class: "dialog-actions" }, send),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    apply();
  });
  const dialog: HTMLDialogElement = openDialog(`Edit ${object.name}`, form);
  show();
  tool.focus();
}

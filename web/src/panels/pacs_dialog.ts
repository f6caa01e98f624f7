/** The PACS: search for studies, open a series, store masks. */

import { api } from "../api/client";
import type { PacsSeries, PacsStudy, StudyQuery } from "../api/messages";
import type { Actions } from "../app/actions";
import { FORMS, holdsMasks } from "../app/pacs";
import type { AppStore } from "../state/app";
import { openDialog } from "../ui/dialog";
import { fill, h } from "../ui/dom";
import { icon } from "../ui/icons";
import { countsOf, dayOf, nameOf, rangeOf } from "./pacs_words";

/** Its content, made once: what was searched for and found is there when the dialog is opened again. */
export function pacsDialog(store: AppStore, actions: Actions): () => void {
  const results = h("div", { class: "pacs-results", "aria-live": "polite" });
  const content = [
    searchForm(store, actions, results),
    results,
    transferLine(store, actions),
    storeLine(store, actions),
  ];
  return () => {
    const dialog = openDialog("PACS", h("p", { class: "muted" }, store.get().server?.pacs ?? ""), ...content);
    dialog.classList.add("wide");
    dialog.querySelector("input")?.focus();
  };
}

function searchForm(store: AppStore, actions: Actions, results: HTMLElement): HTMLElement {
  const text = (id: string, placeholder = ""): HTMLInputElement =>
    h("input", { id, type: "text", placeholder, maxlength: 200, autocomplete: "off", spellcheck: "false" });
  const name = text("pacs-name", "Family*");
  const number = text("pacs-id");
  const from = h("input", { id: "pacs-from", type: "date", autocomplete: "off" });
  const until = h("input", { id: "pacs-until", type: "date", autocomplete: "off" });
  const modality = h("input", {
    id: "pacs-modality",
    type: "text",
    placeholder: "CT",
    maxlength: 16,
    pattern: "[A-Za-z0-9]*",
    autocomplete: "off",
  });
  const identify = h("input", { id: "pacs-identify", type: "checkbox" });
  const find = h("button", { class: "button primary", type: "submit" }, "Search");
  let searched = false;
  const search = async (): Promise<void> => {
    searched = true;
    find.disabled = true;
    fill(results, h("p", { class: "muted" }, "Searching"));
    const query: StudyQuery = {
      patient_name: name.value.trim(),
      patient_id: number.value.trim(),
      accession: "",
      date: rangeOf(from.value, until.value),
      modality: modality.value.trim(),
      identify: identify.checked,
    };
    try {
      const { studies } = await api.pacsStudies(query);
      fill(results, listOf(store, actions, studies));
    } catch (error) {
      fill(results);
      actions.report(error);
    }
    find.disabled = false;
  };
  identify.addEventListener("change", () => {
    store.set({ identify: identify.checked });
    if (searched) void search();
  });
  store.watch(["identify"], () => {
    identify.checked = store.get().identify;
  });
  const field = (label: string, input: HTMLInputElement): HTMLElement =>
    h("label", { class: "pacs-field", for: input.id }, label, input);
  const form = h(
    "form",
    { class: "pacs-form" },
    field("Patient's name", name),
    field("Patient ID", number),
    field("From", from),
    field("Until", until),
    field("Modality", modality),
    find,
    h("label", { class: "pacs-identify", for: identify.id }, identify, "Show names, ids and dates"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void search();
  });
  return form;
}

function listOf(store: AppStore, actions: Actions, studies: PacsStudy[]): HTMLElement {
  if (studies.length === 0) return h("p", { class: "muted" }, "No study fits.");
  return h("ul", { class: "studies", "aria-label": "Studies" }, ...studies.map((study) => row(store, actions, study)));
}

function row(store: AppStore, actions: Actions, study: PacsStudy): HTMLElement {
  const series = h("ul", { class: "series", hidden: true, "aria-label": "Series" });
  const who = [nameOf(study.patient_name), study.patient_id, dayOf(study.date)].filter(Boolean).join(" · ");
  const button = h(
    "button",
    { class: "study", "aria-expanded": "false" },
    h("span", { class: "chip" }, study.modalities.join(" ") || "?"),
    h("span", { class: "study-text" }, study.description || "No description", who ? h("small", {}, who) : null),
    h("span", { class: "muted" }, countsOf(study.series, study.instances)),
    icon("chevron"),
  );
  button.addEventListener("click", () => {
    const opens = series.hidden;
    series.hidden = !opens;
    button.setAttribute("aria-expanded", String(opens));
    if (!opens) return;
    fill(series, h("li", { class: "muted" }, "Asking for its series"));
    api
      .pacsSeries(study.study, store.get().identify)
      .then((found) => {
        fill(series, ...found.series.map((one) => seriesRow(store, actions, one)));
        series.scrollIntoView({ block: "nearest" });
      })
      .catch((error: unknown) => {
        fill(series);
        actions.report(error);
      });
  });
  return h("li", {}, button, series);
}

function seriesRow(store: AppStore, actions: Actions, series: PacsSeries): HTMLElement {
  const masks = holdsMasks(series);
  const reason = masks && !store.get().image ? "Open the image first that it belongs to" : null;
  const title = reason ?? (masks ? "Its masks become objects of the open image" : "Fetch what is missing, and open it");
  const open = h(
    "button",
    { class: "button small", title, "aria-disabled": reason ? "true" : null },
    masks ? "Open onto the image" : "Open",
  );
  open.addEventListener("click", () => {
    if (reason) return;
    void actions.pacs.open(series).then((there) => {
      if (there) open.closest("dialog")?.close();
    });
  });
  return h(
    "li",
    { class: "series-row" },
    h("span", { class: "chip" }, series.modality || "?"),
    h("span", { class: "muted" }, series.number),
    h("span", { class: "study-text" }, series.description || "No description"),
    h("span", { class: "muted" }, countsOf(null, series.instances)),
    open,
  );
}

function transferLine(store: AppStore, actions: Actions): HTMLElement {
  const text = h("span", {});
  const part = h("span", {});
  const bar = h("div", { class: "progress", role: "progressbar", "aria-label": "Transfer" }, part);
  const cancel = h("button", { class: "button small", onclick: () => actions.pacs.cancel() }, "Cancel");
  const line = h("div", { class: "pacs-transfer" }, h("div", { class: "row" }, text, cancel), bar);
  store.watch(["transfer"], () => {
    const { transfer } = store.get();
    line.hidden = transfer === null;
    if (!transfer) return;
    const { done, total } = transfer.info;
    text.textContent = total === null ? transfer.what : `${transfer.what}: ${done} of ${total}`;
    bar.classList.toggle("unknown", total === null);
    part.style.width = total ? `${(100 * done) / total}%` : "";
    if (total) bar.setAttribute("aria-valuenow", String(Math.round((100 * done) / total)));
    else bar.removeAttribute("aria-valuenow");
  });
  return line;
}

function storeLine(store: AppStore, actions: Actions): HTMLElement {
  const text = h("span", {});
  const buttons = (Object.keys(FORMS) as (keyof typeof FORMS)[]).map((form) => {
    const button = h("button", { class: "button small" }, icon("save"), `Store ${FORMS[form]}`);
    button.addEventListener("click", () => {
      if (button.getAttribute("aria-disabled") !== "true") void actions.pacs.store(form);
    });
    return { form, button };
  });
  const line = h("div", { class: "pacs-store row" }, text, ...buttons.map(({ button }) => button));
  store.watch(["image", "objects", "transfer"], () => {
    const { image, objects, transfer } = store.get();
    line.hidden = !image || image.dicom_formats.length === 0;
    if (!image) return;
    const count = `${objects.length} ${objects.length === 1 ? "object" : "objects"}`;
    text.textContent = `Masks of ${image.name}: ${count}`;
    for (const { form, button } of buttons) {
      const reason = !image.dicom_formats.includes(form)
        ? "The image has no place in the patient"
        : objects.length === 0
          ? "There is no object yet"
          : transfer
            ? "Files are on their way"
            : null;
      button.title = reason ?? "Store all objects in the study of the image";
      button.setAttribute("aria-disabled", String(reason !== null));
    }
  });
  return line;
}

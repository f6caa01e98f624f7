/** The line at the top: what is open, how it is shown, which model answers, and saving. */

import type { Actions } from "../app/actions";
import { obliqueness } from "../image/planes";
import type { AppStore } from "../state/app";
import { fill, h } from "../ui/dom";
import { icon } from "../ui/icons";
import { openHelp } from "./help";
import { openModelDialog } from "./model_dialog";
import { openOpenDialog } from "./open_dialog";
import { pacsDialog } from "./pacs_dialog";
import { openSaveDialog } from "./save_dialog";
import { openSecondDialog, secondRejection } from "./second_dialog";
import { windowMenu } from "./window_menu";

export function topbar(store: AppStore, actions: Actions): HTMLElement {
  const about = h("div", { class: "about" });
  const model = h("button", {
    class: "button model-button",
    title: "Choose the model that answers",
    onclick: () => openModelDialog(store, actions),
  });
  const save = h(
    "button",
    {
      class: "button primary",
      "data-tour": "save",
      title: "Save masks and prompts (Ctrl+S)",
      onclick: () => openSaveDialog(store, actions),
    },
    icon("save"),
    "Save",
  );
  const theme = h("button", {
    class: "icon-button",
    onclick: () => store.set({ chosenTheme: store.get().theme === "dark" ? "light" : "dark" }),
  });
  const openPacs = pacsDialog(store, actions);
  const pacs = h(
    "button",
    { class: "button", title: "Search the PACS (H)", "aria-keyshortcuts": "H", onclick: openPacs },
    icon("archive"),
    "PACS",
  );
  actions.pacs.show = openPacs;
  store.watch(["server"], () => {
    pacs.hidden = !store.get().server?.pacs;
  });
  const second = h(
    "button",
    {
      class: "icon-button",
      "aria-label": "Link a second image",
      "aria-keyshortcuts": "Y",
      onclick: () => openSecondDialog(store, actions),
    },
    icon("pair"),
  );
  const windows = windowMenu(store);
  store.watch(["image"], () => {
    const { image } = store.get();
    model.hidden = save.hidden = windows.hidden = !image;
    second.hidden = image?.dimensions !== 3;
    second.title = secondRejection(store) ?? "Link a second image, as PET beside CT (Y)";
    fill(
      about,
      image ? [h("strong", { class: "image-name", title: image.path }, image.name), ...chips(store, actions)] : [],
    );
    fill(model, h("span", { class: "muted" }, "Model"), image?.model ?? "", icon("chevron"));
  });
  // The system's own, until one is chosen here.
  const light = matchMedia("(prefers-color-scheme: light)");
  const follow = (): void => {
    const { chosenTheme } = store.get();
    store.set({ theme: chosenTheme || (light.matches ? "light" : "dark") });
  };
  light.addEventListener("change", follow);
  store.watch(["chosenTheme"], follow);
  store.watch(["theme"], () => {
    const dark = store.get().theme === "dark";
    document.documentElement.dataset.theme = store.get().theme;
    theme.title = dark ? "Light theme" : "Dark theme";
    theme.setAttribute("aria-label", theme.title);
    theme.replaceChildren(icon(dark ? "sun" : "moon"));
  });
  return h(
    "header",
    { class: "topbar" },
    h("h1", { class: "brand" }, mark(), "Bedside"),
    h(
      "button",
      {
        class: "button",
        "data-tour": "open",
        title: "Open an image (O)",
        onclick: () => openOpenDialog(store, actions),
      },
      icon("open"),
      "Open",
    ),
    pacs,
    about,
    second,
    h("div", { class: "spacer" }),
    windows,
    model,
    save,
    theme,
    h(
      "button",
      {
        class: "icon-button",
        title: "Keys and help (?)",
        "aria-label": "Keys and help",
        onclick: () => openHelp(store, actions),
      },
      icon("help"),
    ),
  );
}

function mark(): SVGSVGElement {
  const svg = icon("target");
  svg.classList.add("brand-mark");
  return svg;
}

/** Size, spacing, modality, and whether the grid is oblique. */
function chips(store: AppStore, actions: Actions): HTMLElement[] {
  const { image } = store.get();
  if (!image) return [];
  const chip = (text: string, title: string): HTMLElement => h("span", { class: "chip", title }, text);
  const size = [...image.shape].reverse().join(" × ");
  const spacing = image.spacing.map((mm) => Number(mm.toFixed(2))).join(" × ");
  const geometry = actions.workplace?.geometry;
  const angle = geometry && image.dimensions === 3 && image.spacing_known ? obliqueness(geometry) : 0;
  return [
    ...(image.modality
      ? [chip(image.modality, image.modality_guessed ? "Modality, guessed from the values" : "Modality")]
      : []),
    chip(size, `Size in ${image.dimensions === 3 ? "voxels" : "pixels"}, x to ${image.dimensions === 3 ? "z" : "y"}`),
    chip(
      image.spacing_known ? `${spacing} mm` : "no spacing",
      image.spacing_known ? "Spacing" : "The file gives no spacing: lengths are in voxels",
    ),
    ...(angle > 1
      ? [
          chip(
            `oblique ${Math.round(angle)}°`,
            "The slices are shown as they were taken, turned from the patient's axes by this angle",
          ),
        ]
      : []),
  ];
}

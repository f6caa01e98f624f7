/** The display window: presets and numbers. */

import type { ImageInfo, WindowPreset } from "../api/messages";
import type { AppStore } from "../state/app";
import { fill, h } from "../ui/dom";

/** What the server offers for the modality, and percentiles, which suit MR. */
export function presetsOf(image: ImageInfo, general: WindowPreset[]): WindowPreset[] {
  const between = (name: string, low: string, high: string): WindowPreset[] => {
    const a = image.percentiles[low];
    const b = image.percentiles[high];
    return a !== undefined && b !== undefined && b > a ? [{ name, level: (a + b) / 2, width: b - a }] : [];
  };
  const all = [
    ...image.presets,
    ...(image.modality === "CT" ? general : []),
    ...between("Percentile 1 to 99", "1", "99"),
    ...between("Percentile 5 to 95", "5", "95"),
    {
      name: "Full range",
      level: (image.range[0] + image.range[1]) / 2,
      width: Math.max(image.range[1] - image.range[0], 1e-6),
    },
  ];
  return all.filter((preset, i) => all.findIndex((other) => other.name === preset.name) === i);
}

export function windowMenu(store: AppStore): HTMLElement {
  const select = h("select", { "aria-label": "Window preset", title: "Window preset (keys 1 to 9)" });
  const level = number("Level");
  const width = number("Width");
  const menu = h(
    "div",
    { class: "window-menu", "data-tour": "window" },
    select,
    h("label", {}, "L", level),
    h("label", {}, "W", width),
  );
  const take = (): void => {
    const values = { level: Number(level.value), width: Number(width.value) };
    if (Number.isFinite(values.level) && values.width > 0) store.set({ window: values });
  };
  level.addEventListener("change", take);
  width.addEventListener("change", take);
  select.addEventListener("change", () => {
    const preset = presets(store).find(({ name }) => name === select.value);
    if (preset) store.set({ window: { level: preset.level, width: preset.width } });
  });
  store.watch(["image", "server"], () => {
    fill(
      select,
      presets(store).map(({ name }) => h("option", { value: name }, name)),
      h("option", { value: "" }, "Custom"),
    );
  });
  store.watch(["window", "image", "server"], () => {
    const { window, image } = store.get();
    const chosen = presets(store).find((preset) => preset.level === window.level && preset.width === window.width);
    select.value = chosen?.name ?? "";
    level.value = brief(window.level);
    width.value = brief(window.width);
    menu.classList.toggle("off", image?.colour ?? false);
    for (const control of [select, level, width]) control.disabled = image?.colour ?? false;
  });
  return menu;
}

export function presets(store: AppStore): WindowPreset[] {
  const { image, server } = store.get();
  return image ? presetsOf(image, server?.presets ?? []) : [];
}

function number(label: string): HTMLInputElement {
  return h("input", { type: "number", step: "any", "aria-label": `Window ${label.toLowerCase()}`, class: "number" });
}

function brief(value: number): string {
  return Math.abs(value) >= 10 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}

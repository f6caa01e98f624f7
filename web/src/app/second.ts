/** A second image of the patient beside the open one: linked, shown, and segmented on. */

import { api } from "../api/client";
import type { On, SecondInfo, SecondRequest } from "../api/messages";
import { type ColourMap, valueAt } from "../image/second";
import type { DisplayWindow } from "../image/window";
import { SECOND_MODES, type SecondLook } from "../state/app";
import type { NamedFile } from "../ui/files";
import { toast } from "../ui/toast";
import type { Actions } from "./actions";

export class SecondActions {
  constructor(private readonly actions: Actions) {}

  /** Links an image at a place on the server's machine, or files that are sent; registered to the first if wished. */
  link(source: Omit<SecondRequest, "register"> | NamedFile[], register: boolean): Promise<void> {
    const { store } = this.actions;
    const name = Array.isArray(source) ? source[0].path : (source.path.split("/").pop() ?? source.path);
    return this.actions.try(async () => {
      const place = this.actions.workplace;
      if (!place) return;
      store.set({ loading: { what: register ? `Registering ${name}` : `Opening ${name}`, fraction: null } });
      try {
        const info = await (Array.isArray(source)
          ? api.uploadSecond(place.id, source, register)
          : api.linkSecond(place.id, { ...source, register }));
        if (place !== this.actions.workplace) return;
        await this.show(info);
        for (const note of info.notes) toast("info", note);
      } finally {
        if (place === this.actions.workplace) store.set({ loading: null });
        // Where there are several to choose from, they are on the list now.
        void this.actions.refreshWorklist();
      }
    });
  }

  /** Takes what the server has linked, as after the page was loaded again. */
  take(): Promise<void> {
    return this.actions.try(async () => {
      const place = this.actions.workplace;
      if (!place) return;
      const info = await api.second(place.id);
      if (place === this.actions.workplace) await this.show(info);
    });
  }

  unlink(): Promise<void> {
    return this.actions.try(async () => {
      const place = this.actions.workplace;
      if (!place) return;
      place.second = null;
      this.actions.store.set({ second: null });
      await api.unlinkSecond(place.id);
    });
  }

  /** Changes how it is shown, or which image the model looks at. */
  set(patch: Partial<Omit<SecondLook, "info">>): void {
    const { store } = this.actions;
    const { second } = store.get();
    if (second) store.set({ second: { ...second, ...patch } });
  }

  /** Over the first image, beside it, or not shown. */
  nextMode(): void {
    const { second } = this.actions.store.get();
    if (second) this.set({ mode: SECOND_MODES[(SECOND_MODES.indexOf(second.mode) + 1) % SECOND_MODES.length] });
  }

  /** The model looks at the other image from the next prompt on. */
  switchImage(): void {
    const { second } = this.actions.store.get();
    const other: On = second?.segmentOn === "second" ? "first" : "second";
    this.set({ segmentOn: other });
  }

  /** Its value at a continuous index of the first image; null where there is none. */
  valueAt(index: readonly number[]): number | null {
    const place = this.actions.workplace;
    if (!place?.second) return null;
    const value = valueAt(place.second, place.geometry, [index[0], index[1], index[2] ?? 0]);
    return Number.isNaN(value) ? null : value;
  }

  private async show(info: SecondInfo): Promise<void> {
    const { store, workplace: place } = this.actions;
    await place?.loadSecond(info, (fraction) =>
      store.set({ loading: store.get().loading && { what: `Loading ${info.name}`, fraction } }),
    );
    const colours = coloursFor(info);
    const mode = store.get().second?.mode ?? "overlay";
    store.set({ second: { info, mode, window: windowFor(info, colours), colours, segmentOn: "first" } });
  }
}

/** What glows is small and far above all else: its window reaches half way from there to the largest value. */
function windowFor({ window, range, percentiles }: SecondInfo, colours: ColourMap): DisplayWindow {
  const [low, high] = [percentiles["1"], (percentiles["99.5"] + range[1]) / 2];
  if (colours === "grey" || !(high > low)) return { level: window.level, width: window.width };
  return { level: (low + high) / 2, width: high - low };
}

/** What is anatomy is grey; what glows, and what nobody knows, is shown in colours, to be told from the first image. */
function coloursFor({ modality }: SecondInfo): ColourMap {
  return modality && ["CT", "MR", "US"].includes(modality) ? "grey" : "hot";
}

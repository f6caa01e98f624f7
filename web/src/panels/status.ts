/** The line at the foot: what is under the pointer, and what the server is doing. */

import type { Actions } from "../app/actions";
import type { Vec3 } from "../image/geometry";
import type { AppStore } from "../state/app";
import { currentObject, type Task } from "../state/app";
import { h } from "../ui/dom";

export function statusBar(store: AppStore, actions: Actions): HTMLElement {
  const where = h("span", { class: "where" });
  const under = h("span", { class: "under" });
  const work = h("span", { class: "work", role: "status" });
  const stop = h("button", { type: "button", class: "stop", title: "Stop the answer (Esc)" }, "Stop");
  stop.hidden = true;
  stop.addEventListener("click", () => actions.stop());
  const moving = h("span", { class: "work busy", role: "status" });
  const cancel = h("button", { type: "button", class: "stop", title: "Stop the transfer" }, "Cancel");
  cancel.addEventListener("click", () => actions.pacs.cancel());
  store.watch(["transfer"], () => {
    const { transfer } = store.get();
    moving.hidden = cancel.hidden = transfer === null;
    if (!transfer) return;
    const { done, total } = transfer.info;
    moving.textContent = total === null ? transfer.what : `${transfer.what}: ${done} of ${total}`;
  });
  const line = h("span", { class: "connection" });
  store.watch(["pointer", "cursor", "image", "painted", "second"], () => {
    const place = actions.workplace;
    const { pointer, cursor, image } = store.get();
    if (!place?.voxels || !image) {
      where.textContent = under.textContent = "";
      return;
    }
    const index = (pointer ?? cursor).map(Math.round) as Vec3;
    const world = place.geometry.toWorld(index);
    const shown = index.slice(0, image.dimensions).join(", ");
    const mm = image.spacing_known && image.dimensions === 3 ? `  ${letters(world)}` : "";
    where.textContent = `${pointer ? "Pointer" : "Crosshair"} ${shown}${mm}`;
    const [x, y, z] = index;
    const value = place.voxels.samples[(z * place.geometry.size[1] + y) * place.geometry.size[0] + x];
    const id = place.labels.at(index);
    const object = store.get().objects.find((candidate) => candidate.id === id);
    const unit = image.modality === "CT" ? " HU" : "";
    const { second } = store.get();
    const other = second ? actions.second.valueAt(pointer ?? cursor) : null;
    const beside = other === null ? "" : `, ${second?.info.modality ?? "second"} ${Number(other.toPrecision(4))}`;
    under.textContent = `Value ${Number(value.toPrecision(5))}${unit}${beside}${object ? `, ${object.name}` : ""}`;
  });
  store.watch(["pending", "loading", "current", "objects", "task"], () => {
    const state = store.get();
    const name = currentObject(state)?.name ?? "the object";
    const busy = state.pending.length > 0 || state.task !== null;
    const progress = state.pending.find((one) => one.progress)?.progress;
    const far = progress ? `: ${progress.done} of ${progress.of} predictions` : "";
    const on = state.second?.segmentOn === "second" ? " on the second image" : "";
    const model = state.image?.model ?? "The model";
    const answers = state.pending.length > 0 ? `${model} answers for ${name}${on}${far}` : "";
    work.textContent = state.task ? taskText(state.task) : answers;
    work.classList.toggle("busy", busy);
    stop.hidden = !busy;
  });
  store.watch(["connection", "image"], () => {
    const { connection, image } = store.get();
    line.textContent = !image
      ? ""
      : connection === "open"
        ? "Saved as you go"
        : connection === "connecting"
          ? "Connecting"
          : "No server";
    line.classList.toggle("bad", connection === "lost" || connection === "rejected");
  });
  return h(
    "footer",
    { class: "status" },
    where,
    under,
    h("span", { class: "spacer" }),
    moving,
    cancel,
    work,
    stop,
    line,
  );
}

function taskText({ what, done, total }: Task): string {
  if (what === "propagate") return done > 0 ? `Carried along ${done} ${done === 1 ? "slice" : "slices"}` : "Carrying";
  return total === null ? "Looking for the like" : `Looking for the like: ${done} of ${total} places`;
}

/** Millimetres with the patient's letters instead of signs. */
function letters(world: Vec3): string {
  const names = [
    ["R", "L"],
    ["A", "P"],
    ["I", "S"],
  ];
  return `${world.map((mm, axis) => `${names[axis][mm >= 0 ? 1 : 0]} ${Math.abs(mm).toFixed(1)}`).join("  ")} mm`;
}

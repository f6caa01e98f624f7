/** A short tour on the sample: one sentence a step, beside what it is about. */

import type { Actions } from "../app/actions";
import type { AppStore } from "../state/app";
import { h } from "../ui/dom";

interface Step {
  target: string;
  title: string;
  text: string;
  prepare?: (store: AppStore) => void;
  /** What "Next" does before it goes on. */
  finish?: (store: AppStore, actions: Actions) => void;
}

/** A kidney of the sample, in voxels (x, y, z). */
const KIDNEY = { low: [53, 82, 8], high: [78, 109, 36] };

const STEPS: Step[] = [
  {
    target: ".views",
    title: "Three planes and 3D",
    text: "The wheel scrolls through slices, Ctrl and wheel zooms, the right button dragged changes the window.",
  },
  {
    target: '[data-tour="tools"]',
    title: "Point at something",
    text: "Click on a structure (P) or draw a box around it (B): the model answers with its mask. Next draws a box around a kidney.",
    prepare: (store) => store.set({ tool: "point", positive: true }),
    finish: showKidney,
  },
  {
    target: ".options",
    title: "Correct",
    text: "Where something is missing, click. Where the mask goes too far, click with the right button or switch to Background (X). G shows where a click would help most.",
  },
  {
    target: '[data-tour="prompts"]',
    title: "Nothing is final",
    text: "Each prompt is listed here and can be deleted, in any order. Ctrl+Z takes back the last one.",
  },
  {
    target: '[data-tour="objects"]',
    title: "Many objects",
    text: "N begins the next object. Name, colour, visibility and lock are here, with the volume.",
  },
  {
    target: '[data-tour="save"]',
    title: "Save",
    text: "Work is kept after every prompt, even if the window closes. Save writes NIfTI, NRRD and more.",
  },
];

function showKidney(store: AppStore, actions: Actions): void {
  const { image, objects } = store.get();
  if (!image?.path.endsWith("sample-volume.nii.gz") || objects.length > 0) return;
  actions.goTo(KIDNEY.low.map((low, axis) => (low + KIDNEY.high[axis]) / 2));
  actions.prompt({ kind: "box", low: KIDNEY.low, high: KIDNEY.high, positive: true, frame: "index" });
}

let bubble: HTMLElement | null = null;

export async function startTour(store: AppStore, actions: Actions): Promise<void> {
  if (!store.get().image) await actions.openSample();
  if (store.get().image) show(store, actions, 0);
}

function stop(): void {
  bubble?.remove();
  bubble = null;
  document.querySelector(".tour-target")?.classList.remove("tour-target");
}

function show(store: AppStore, actions: Actions, number: number): void {
  stop();
  const step = STEPS[number];
  const target = step && document.querySelector<HTMLElement>(step.target);
  if (!target) return;
  step.prepare?.(store);
  target.classList.add("tour-target");
  const last = number === STEPS.length - 1;
  const forward = (): void => {
    step.finish?.(store, actions);
    if (last) stop();
    else show(store, actions, number + 1);
  };
  const next = h("button", { class: "button primary small", onclick: forward }, last ? "Done" : "Next");
  bubble = h(
    "div",
    { class: "tour", role: "dialog", "aria-label": `Tour, step ${number + 1} of ${STEPS.length}` },
    h("h3", {}, step.title),
    h("p", {}, step.text),
    h(
      "div",
      { class: "tour-actions" },
      h("span", { class: "muted" }, `${number + 1} of ${STEPS.length}`),
      last ? null : h("button", { class: "button small", onclick: stop }, "End the tour"),
      next,
    ),
  );
  bubble.addEventListener("keydown", (event) => {
    if (event.key === "Escape") stop();
  });
  document.body.append(bubble);
  place(bubble, target.getBoundingClientRect());
  next.focus();
}

/** Beside the target where there is room, otherwise over it. */
function place(element: HTMLElement, around: DOMRect): void {
  const { offsetWidth: width, offsetHeight: height } = element;
  const gap = 12;
  const right = around.right + gap + width < innerWidth;
  const left = around.left - gap - width > 0;
  const x = right ? around.right + gap : left ? around.left - gap - width : around.left + (around.width - width) / 2;
  const below = around.bottom + gap + height < innerHeight;
  const y = right || left ? around.top + 8 : below ? around.bottom + gap : around.top + (around.height - height) / 2;
  element.style.left = `${Math.max(gap, Math.min(x, innerWidth - width - gap))}px`;
  element.style.top = `${Math.max(gap, Math.min(y, innerHeight - height - gap))}px`;
}

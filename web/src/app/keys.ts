/** Single keys for everything that is done often. */

import { openEditDialog } from "../panels/edit_dialog";
import { openHelp } from "../panels/help";
import { openOpenDialog } from "../panels/open_dialog";
import { openSaveDialog } from "../panels/save_dialog";
import { openSecondDialog } from "../panels/second_dialog";
import { arrangeNext, chooseTool, sendShapedBox, suggestOrAccept } from "../panels/toolbar";
import { presets } from "../panels/window_menu";
import type { AppStore } from "../state/app";
import { candidatesRejection, editRejection, negativeRejection, TOOLS, toolEntry } from "../tools/catalogue";
import type { Views } from "../views/grid";
import type { Actions } from "./actions";

export function listenForKeys(store: AppStore, actions: Actions, views: Views): void {
  window.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    const done =
      event.ctrlKey || event.metaKey
        ? withControl(event, store, actions)
        : !typing(event) && alone(event, store, actions, views);
    if (done) event.preventDefault();
  });
}

/** Whether the key goes into a text or a control that has a use for it. */
function typing(event: KeyboardEvent): boolean {
  const { target } = event;
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement)
    return target.type !== "range" || event.key.startsWith("Arrow") || event.key.startsWith("Page");
  return target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
}

function withControl(event: KeyboardEvent, store: AppStore, actions: Actions): boolean {
  const key = event.key.toLowerCase();
  const inText = event.target instanceof HTMLInputElement && ["text", "number"].includes(event.target.type);
  if (key === "z" && !inText) {
    if (event.shiftKey) actions.redo();
    else actions.undo();
  } else if (key === "y" && !inText) actions.redo();
  else if (key === "s") openSaveDialog(store, actions);
  else if (key === "o") openOpenDialog(store, actions);
  else return false;
  return true;
}

function alone(event: KeyboardEvent, store: AppStore, actions: Actions, views: Views): boolean {
  if (event.altKey) return false;
  const key = event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const state = store.get();
  if (key === "O") return (openOpenDialog(store, actions), true);
  if (key === "H" && state.server?.pacs) return (actions.pacs.show(), true);
  if (key === "?") return (openHelp(store, actions), true);
  if (!state.image) return false;
  const tool = TOOLS.find((entry) => entry.key === key);
  if (tool) return (chooseTool(store, tool.name), true);
  const onButton = event.target instanceof HTMLButtonElement;
  switch (key) {
    case "X":
      if (negativeRejection(toolEntry(state.tool), state) === null) store.set({ positive: !state.positive });
      return true;
    case "G":
      suggestOrAccept(store, actions);
      return true;
    case "A":
      void actions.finding.propagate();
      return true;
    case "K":
      void actions.finding.find();
      return true;
    case "J":
      actions.finding.step(event.shiftKey ? -1 : 1);
      return state.proposals !== null;
    case "F":
      if (editRejection(state) === null) void openEditDialog(store, actions);
      return true;
    case "T":
      if (candidatesRejection(state) === null) void actions.nextCandidate();
      return true;
    case "N":
      void actions.addObject();
      return true;
    case "V":
      store.set({ masksShown: !state.masksShown });
      return true;
    case "C":
      store.set({ crosshair: !state.crosshair });
      return true;
    case "I":
      store.set({ smooth: !state.smooth });
      return true;
    case "U":
      if (state.image.dimensions === 3) arrangeNext(store);
      return true;
    case "Y":
      if (state.second) actions.second.nextMode();
      else openSecondDialog(store, actions);
      return true;
    case "Q":
      actions.second.switchImage();
      return true;
    case "R":
      views.resetCameras();
      return true;
    case "+":
    case "=":
      views.zoomBy(1.25);
      return true;
    case "-":
      views.zoomBy(0.8);
      return true;
    case "[":
      store.set({ brushSize: Math.max(1, state.brushSize - 1) });
      return true;
    case "]":
      store.set({ brushSize: Math.min(60, state.brushSize + 1) });
      return true;
    case ",":
      void actions.step(-1);
      return true;
    case ".":
      void actions.step(1);
      return true;
    case "Delete":
    case "Backspace":
      if (state.proposals) return (actions.finding.toggle(), true);
      return deleteLast(store, actions);
    case "Escape":
      if ((state.pending.length > 0 && !state.shapedBox && !state.suggestion) || state.task) actions.stop();
      else if (state.proposals) actions.finding.discard();
      store.set({ shapedBox: null, suggestion: null });
      return true;
    case "Enter":
      if (onButton) return false;
      if (state.proposals) void actions.finding.accept();
      else if (state.carried) actions.finding.keep();
      else if (state.shapedBox) sendShapedBox(store, actions);
      else return false;
      return true;
  }
  if (/^[1-9]$/.test(key)) {
    const preset = presets(store)[Number(key) - 1];
    if (preset) store.set({ window: { level: preset.level, width: preset.width } });
    return true;
  }
  return false;
}

function deleteLast(store: AppStore, actions: Actions): boolean {
  const { current, prompts } = store.get();
  const last = current !== null ? prompts[current]?.at(-1) : undefined;
  if (last) actions.removePrompt(last.id);
  return last !== undefined;
}

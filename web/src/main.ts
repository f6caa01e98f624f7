/** Puts the page together. */

import "./theme/base.css";
import "./theme/layout.css";
import "./theme/parts.css";
import { Actions } from "./app/actions";
import { listenForKeys } from "./app/keys";
import { listenForDrops, loadingCover, lostBanner } from "./panels/cover";
import { emptyState } from "./panels/empty";
import { objectsPanel } from "./panels/objects";
import { promptsPanel } from "./panels/prompts";
import { secondBar } from "./panels/second_bar";
import { statusBar } from "./panels/status";
import { optionBar, toolRail } from "./panels/toolbar";
import { topbar } from "./panels/topbar";
import { worklistPanel } from "./panels/worklist";
import { type AppState, INITIAL, keepSettings, loadSettings } from "./state/app";
import { Store } from "./state/store";
import { h } from "./ui/dom";
import { toastRegions } from "./ui/toast";
import { Views } from "./views/grid";

declare global {
  interface Window {
    /** For tests and benchmarks, and for the curious: the state, the voxels and the times of the last prompts. */
    bedside: { store: Store<AppState>; actions: Actions; views: Views };
  }
}

const store = new Store<AppState>({ ...INITIAL, ...loadSettings() });
const actions = new Actions(store);
const views = new Views(store, actions);

const rail = toolRail(store, actions);
const side = h(
  "aside",
  { class: "side", "aria-label": "Objects and prompts" },
  objectsPanel(store, actions),
  promptsPanel(store, actions),
);
store.watch(["image"], () => {
  rail.hidden = side.hidden = store.get().image === null;
});

const skip = h(
  "button",
  {
    class: "skip",
    onclick: () =>
      [...document.querySelectorAll<HTMLElement>(".view canvas")].find((seen) => seen.clientWidth > 0)?.focus(),
  },
  "Skip to the image",
);
store.watch(["image"], () => {
  skip.hidden = store.get().image === null;
});

document.body.append(
  skip,
  topbar(store, actions),
  lostBanner(store),
  h(
    "div",
    { class: "desk" },
    worklistPanel(store, actions),
    rail,
    h(
      "main",
      {},
      optionBar(store, actions),
      secondBar(store, actions),
      h("div", { class: "stage" }, views.element, emptyState(store, actions), loadingCover(store)),
    ),
    side,
  ),
  statusBar(store, actions),
  toastRegions(),
  listenForDrops(actions),
);

keepSettings(store);
listenForKeys(store, actions, views);
window.bedside = { store, actions, views };
void actions.start();

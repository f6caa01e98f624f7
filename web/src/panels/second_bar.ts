/** The line of a second image: how it is shown, and which of the two the model looks at. */

import type { On } from "../api/messages";
import type { Actions } from "../app/actions";
import { COLOUR_MAPS, type ColourMap } from "../image/second";
import { type AppStore, SECOND_MODES, type SecondLook, type SecondMode } from "../state/app";
import { fill, h } from "../ui/dom";
import { icon } from "../ui/icons";
import { roving } from "../ui/toolbar";

const MODES: Record<SecondMode, [text: string, title: string]> = {
  overlay: ["Over", "Over the first image"],
  beside: ["Beside", "In views of its own, linked to those of the first image"],
  off: ["Hidden", "The first image alone"],
};
const MAPS: Record<ColourMap, string> = { hot: "Hot", cool: "Cool", grey: "Grey" };
const IMAGES: Record<On, string> = { first: "First", second: "Second" };

export function secondBar(store: AppStore, actions: Actions): HTMLElement {
  const bar = h("div", { class: "second-bar", role: "toolbar", "aria-label": "Second image" });
  const rover = roving(bar);
  store.watch(["second", "secondOpacity", "image"], () => {
    const { second } = store.get();
    bar.hidden = second === null;
    if (!second) return fill(bar);
    fill(
      bar,
      h("span", { class: "second-name", title: aboutOf(second) }, icon("pair"), h("span", {}, second.info.name)),
      segments(
        "How the second image is shown",
        SECOND_MODES.map((mode) => ({
          key: mode,
          text: MODES[mode][0],
          title: `${MODES[mode][1]} (Y)`,
          pressed: mode === second.mode,
          onclick: () => actions.second.set({ mode }),
        })),
        "Y",
      ),
      second.mode === "overlay" ? opacity(store) : null,
      ...(second.mode === "off" ? [] : [colours(second, actions), ...windowOf(second, actions)]),
      h("span", { class: "spacer" }),
      segments(
        "Which image the model looks at",
        (["first", "second"] as const).map((on) => ({
          key: `on-${on}`,
          text: IMAGES[on],
          title: `Prompts are segmented on the ${on} image; the mask lies on the first (Q)`,
          pressed: on === second.segmentOn,
          onclick: () => actions.second.set({ segmentOn: on }),
        })),
        "Q",
        "Segment on",
      ),
      h(
        "button",
        {
          class: "icon-button",
          "data-key": "unlink",
          "aria-label": "Let go of the second image",
          title: "Let go of the second image; what was segmented on it stays",
          onclick: () => void actions.second.unlink(),
        },
        icon("close"),
      ),
    );
    rover.refresh();
  });
  return bar;
}

function aboutOf({ info }: SecondLook): string {
  const size = [...info.shape].reverse().join(" × ");
  const spacing = info.spacing.map((mm) => Number(mm.toFixed(2))).join(" × ");
  const covers = `covers ${Math.max(1, Math.round(100 * info.overlap))} % of the first image`;
  return [info.path || info.name, `${size}, ${spacing} mm, ${covers}`, ...info.notes].join("\n");
}

interface Segment {
  key: string;
  text: string;
  title: string;
  pressed: boolean;
  onclick: () => void;
}

function segments(label: string, all: Segment[], key: string, before?: string): HTMLElement {
  return h(
    "div",
    { class: "row" },
    before ? h("span", { class: "muted" }, before) : null,
    h(
      "div",
      { class: "segments", role: "group", "aria-label": label },
      ...all.map(({ key: name, text, title, pressed, onclick }) =>
        h("button", { class: "segment", "data-key": name, "aria-pressed": String(pressed), title, onclick }, text),
      ),
      h("kbd", {}, key),
    ),
  );
}

function opacity(store: AppStore): HTMLElement {
  const input = h("input", {
    type: "range",
    min: 0,
    max: 1,
    step: 0.05,
    value: store.get().secondOpacity,
    "data-key": "second-opacity",
    "aria-label": "Opacity of the second image",
  });
  input.addEventListener("input", () => store.set({ secondOpacity: Number(input.value) }));
  return h("label", { class: "range", title: "Opacity of the second image" }, "Opacity", input);
}

function colours(second: SecondLook, actions: Actions): HTMLElement {
  const select = h(
    "select",
    { "aria-label": "Colours of the second image", "data-key": "second-colours" },
    ...COLOUR_MAPS.map((map) => h("option", { value: map, selected: map === second.colours }, MAPS[map])),
  );
  select.addEventListener("change", () => actions.second.set({ colours: select.value as ColourMap }));
  return select;
}

/** Its own window: from which value to which. */
function windowOf({ info, window }: SecondLook, actions: Actions): HTMLElement[] {
  const [low, high] = info.range;
  const ends = { from: window.level - window.width / 2, to: window.level + window.width / 2 };
  const slider = (end: "from" | "to", label: string): HTMLElement => {
    const value = ends[end];
    const input = h("input", {
      type: "range",
      min: Math.min(low, value),
      max: Math.max(high, value),
      step: "any",
      value,
      "data-key": `second-${end}`,
      "aria-label": `${label} value of the second image's window`,
      "aria-valuetext": brief(value),
    });
    input.addEventListener("input", () => {
      const moved = { ...ends, [end]: Number(input.value) };
      const width = Math.max(moved.to - moved.from, (high - low) / 1000);
      actions.second.set({ window: { level: moved.from + width / 2, width } });
    });
    return h("label", { class: "range", title: `${label} value of its window` }, brief(value), input);
  };
  return [slider("from", "Lowest"), slider("to", "Highest")];
}

function brief(value: number): string {
  return Math.abs(value) >= 10 ? String(Math.round(value)) : String(Number(value.toPrecision(2)));
}

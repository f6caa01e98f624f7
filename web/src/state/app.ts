/** All that the page knows, apart from the voxels. */

import type {
  Carried,
  ImageInfo,
  Item,
  ModelInfo,
  ObjectInfo,
  On,
  PromptInfo,
  Proposal,
  SecondInfo,
  SentPrompt,
  ServerState,
  TransferInfo,
  Worklist,
} from "../api/messages";
import type { SocketStatus } from "../api/socket";
import type { Vec3 } from "../image/geometry";
import type { PlaneName } from "../image/planes";
import type { ColourMap } from "../image/second";
import type { DisplayWindow } from "../image/window";
import type { Region } from "../masks/region";
import type { Store } from "./store";

export type ToolName = "move" | "window" | "point" | "box" | "scribble" | "lasso" | "brush" | "eraser";
export type Theme = "dark" | "light";
/** All views together, or one alone. */
export type Layout = "all" | PlaneName | "rendering";
/** How all views of a volume lie: two by two, the planes in a row, or the axial one large with the others beside it. */
export type Arrangement = "grid" | "row" | "main";
export const ARRANGEMENTS: readonly Arrangement[] = ["grid", "row", "main"];

/** How a second image is shown: over the first, in views of its own beside it, or not. */
export type SecondMode = "overlay" | "beside" | "off";
export const SECOND_MODES: readonly SecondMode[] = ["overlay", "beside", "off"];

/** A second image and how it is shown. */
export interface SecondLook {
  info: SecondInfo;
  mode: SecondMode;
  window: DisplayWindow;
  colours: ColourMap;
  /** Which image the model looks at. */
  segmentOn: On;
}

/** Something that takes a while, told in the status bar and over the views. */
export interface Loading {
  what: string;
  /** 0..1; null where nobody knows. */
  fraction: number | null;
}

/** A prompt that was sent and not yet answered. */
export interface PendingPrompt {
  request: string;
  object: number | null;
  prompt: SentPrompt | null;
  since: number;
  /** Predictions made and in all, where it takes many. */
  progress?: { done: number; of: number };
}

/** Files on their way from or to the PACS, and what they are. */
export interface Underway {
  what: string;
  info: TransferInfo;
}

/** A search or a propagation under way. */
export interface Task {
  what: "find-like" | "propagate";
  done: number;
  total: number | null;
  stop: () => void;
}

/** Proposals that became objects: what undo takes away and redo brings back, at one version of the image. */
export interface Taken {
  objects: number[];
  proposals: number[];
  name: string;
  version: number;
}

/** Proposals that are looked at. */
export interface Found {
  all: Proposal[];
  /** How alike one has to be to be shown. */
  threshold: number;
  dropped: number[];
  /** The one in hand. */
  at: number | null;
}

export interface AppState {
  server: ServerState | null;
  models: ModelInfo[];
  worklist: Worklist;
  recent: Item[];

  image: ImageInfo | null;
  loading: Loading | null;
  connection: SocketStatus | null;
  version: number;
  objects: ObjectInfo[];
  current: number | null;
  prompts: Record<number, PromptInfo[]>;
  pending: PendingPrompt[];
  suggestion: SentPrompt | null;
  /** Counts what was painted into the labels. */
  painted: number;
  hovered: number | null;

  tool: ToolName;
  positive: boolean;
  box3d: boolean;
  /** A 3D box that is still being shaped. */
  shapedBox: Region | null;
  brushSize: number;
  window: DisplayWindow;
  cursor: Vec3;
  pointer: Vec3 | null;
  fill: number;
  masksShown: boolean;
  crosshair: boolean;
  smooth: boolean;
  /** Whether the 3D view is drawn: without a graphics processor it costs what the model could use. */
  rendering: boolean;
  layout: Layout;
  arrangement: Arrangement;
  theme: Theme;
  /** As it was chosen in the page; empty where the system's own is followed. */
  chosenTheme: Theme | "";

  second: SecondLook | null;
  /** Of a second image over the first. */
  secondOpacity: number;
  task: Task | null;
  proposals: Found | null;
  /** A mask that was carried along, until something else changes. */
  carried: { object: number; version: number; info: Carried } | null;
  /** Objects that proposals became, until something else changes. */
  taken: Taken | null;
  /** What undo took away of these, until something else changes. */
  untaken: Taken | null;
  transfer: Underway | null;
  /** Whether the list of studies says who the patients are. */
  identify: boolean;
  /** Whether *Done* also saves the masks beside the image. */
  saveOnDone: boolean;
}

export const INITIAL: AppState = {
  server: null,
  models: [],
  worklist: { items: [], scanning: false, counts: {} },
  recent: [],
  image: null,
  loading: null,
  connection: null,
  version: 0,
  objects: [],
  current: null,
  prompts: {},
  pending: [],
  suggestion: null,
  painted: 0,
  hovered: null,
  tool: "point",
  positive: true,
  box3d: false,
  shapedBox: null,
  brushSize: 6,
  window: { level: 0, width: 1 },
  cursor: [0, 0, 0],
  pointer: null,
  fill: 0.35,
  masksShown: true,
  crosshair: true,
  smooth: true,
  rendering: true,
  layout: "all",
  arrangement: "grid",
  theme: "dark",
  chosenTheme: "",
  second: null,
  secondOpacity: 0.6,
  task: null,
  proposals: null,
  carried: null,
  taken: null,
  untaken: null,
  transfer: null,
  identify: false,
  saveOnDone: false,
};

export type AppStore = Store<AppState>;

export function currentObject(state: Readonly<AppState>): ObjectInfo | null {
  return state.objects.find((object) => object.id === state.current) ?? null;
}

/** Settings that outlive the page. */
const KEPT = [
  "chosenTheme",
  "fill",
  "crosshair",
  "smooth",
  "brushSize",
  "box3d",
  "rendering",
  "identify",
  "saveOnDone",
  "arrangement",
  "secondOpacity",
] as const;
type Kept = Pick<AppState, (typeof KEPT)[number]>;

export function loadSettings(): Partial<Kept> {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem("bedside.settings") ?? "{}");
    if (typeof stored !== "object" || stored === null) return {};
    const known = Object.entries(stored).filter(
      ([key, value]) => KEPT.some((kept) => kept === key) && typeof value === typeof INITIAL[key as keyof Kept],
    );
    const settings = Object.fromEntries(known) as Partial<Kept>;
    if (!["", "dark", "light"].includes(settings.chosenTheme ?? "")) delete settings.chosenTheme;
    if (settings.arrangement && !ARRANGEMENTS.includes(settings.arrangement)) delete settings.arrangement;
    return settings;
  } catch {
    return {};
  }
}

export function keepSettings(store: AppStore): void {
  store.watch(KEPT, () => {
    const state = store.get();
    try {
      localStorage.setItem(
        "bedside.settings",
        JSON.stringify(Object.fromEntries(KEPT.map((key) => [key, state[key]]))),
      );
    } catch {
      // A browser that keeps nothing works as well, with the usual settings.
    }
  });
}

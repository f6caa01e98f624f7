/** The server's messages, as `bedside/serve/messages.py` defines them (checked against its OpenAPI by tests/web). */

export type Policy = "keep" | "overwrite" | "overlap";
export type WorkState = "new" | "in progress" | "done";
export type PromptKind = "point" | "box" | "scribble" | "lasso" | "mask";

export interface Problem {
  kind: string;
  what: string;
  expected: string | null;
  got: string | null;
  fix: string | null;
  message: string;
}

export interface Tools {
  dimensions: number[];
  prompt_kinds: string[];
  negative_kinds: string[];
  starts_from: string[];
  /** A box in a volume must lie on one slice. */
  flat_boxes: boolean;
  suggest: boolean | null;
  candidates: boolean | null;
  quality: boolean | null;
}

/** A classical tool on masks. */
export interface EditInfo {
  name: string;
  title: string;
  help: string;
  combines: boolean;
  /** It goes from slice to slice, of which a picture has none. */
  sliced: boolean;
  unit: string | null;
  default: number | null;
  least: number | null;
  most: number | null;
}

export interface ModelInfo {
  name: string;
  family: string;
  summary: string;
  parameters: number;
  licence: string;
  available: boolean;
  reason: string | null;
  loaded: boolean;
  tools: Tools;
}

export interface ModelList {
  default: string;
  models: ModelInfo[];
}

export interface WindowPreset {
  name: string;
  level: number;
  width: number;
}

export interface Item {
  item: number;
  path: string;
  name: string;
  series: string | null;
  volume: number | null;
  state: WorkState;
  image: number | null;
  objects: number;
  ready: boolean;
  problem: string | null;
}

export interface Worklist {
  items: Item[];
  scanning: boolean;
  counts: Record<string, number>;
}

/** Where the masks of an image were saved, and what to know of them. */
export interface SavedBeside {
  folder: string;
  notes: string[];
}

/** A format that masks are saved in; `format` is what the export is asked for. */
export interface SaveFormat {
  format: string;
  title: string;
  suffix: string;
  dimensions: number[];
  /** A DICOM object, which only images have that name it in `dicom_formats`. */
  dicom: boolean;
  overlaps: boolean;
  names: boolean;
}

export interface ServerState {
  version: string;
  workspace: string;
  default_model: string;
  first: number | null;
  recent: Item[];
  presets: WindowPreset[];
  readers: Record<string, string[]>;
  writers: Record<string, string[]>;
  formats: SaveFormat[];
  sample: boolean;
  upload_limit: number;
  /** Address of the PACS; null where none is configured. */
  pacs: string | null;
}

/** Half open, in array order ([z, ]y, x). */
export interface Box {
  start: number[];
  stop: number[];
}

export interface ObjectInfo {
  id: number;
  name: string;
  colour: string;
  visible: boolean;
  locked: boolean;
  label: number;
  voxels: number;
  volume: number;
  unit: "ml" | "mm2" | "voxels" | "pixels";
  quality: number | null;
  can_undo: boolean;
  can_redo: boolean;
  prompts: number;
  box: Box | null;
}

export type Frame = "index" | "world";

export interface PointPrompt {
  kind: "point";
  position: number[];
  positive: boolean;
  frame: Frame;
}

export interface BoxPrompt {
  kind: "box";
  low: number[];
  high: number[];
  positive: boolean;
  frame: Frame;
}

export interface ScribblePrompt {
  kind: "scribble";
  points: number[][];
  positive: boolean;
  frame: Frame;
  connected: boolean;
  thickness: number;
}

export interface LassoPrompt {
  kind: "lasso";
  points: number[][];
  positive: boolean;
  frame: Frame;
}

/** A mask comes without its bits. */
export interface MaskPrompt {
  kind: "mask";
}

export type SentPrompt = PointPrompt | BoxPrompt | ScribblePrompt | LassoPrompt;
export type Prompt = SentPrompt | MaskPrompt;

export interface PromptInfo {
  id: number;
  kind: PromptKind;
  positive: boolean;
  predict: boolean;
  prompt: Prompt;
}

export interface PromptList {
  object: number;
  prompts: PromptInfo[];
}

export interface Patch extends Box {
  bits: string | null;
  labels: string;
  dtype: "uint8" | "uint16";
}

/** How far a mask was carried along, and why it stopped there. */
export interface Carried {
  axis: number;
  start: number;
  first: number;
  last: number;
  low: "end" | "empty" | "quality" | "overlap";
  high: "end" | "empty" | "quality" | "overlap";
}

/** An object like others, which is none of the image yet. */
export interface Proposal {
  proposal: number;
  score: number;
  voxels: number;
  box: Box;
}

export interface Proposals {
  proposals: Proposal[];
  labels: LabelPatch;
}

export interface Change {
  image: number;
  version: number;
  object: number | null;
  current: number | null;
  objects: ObjectInfo[];
  prompts: PromptInfo[] | null;
  patch: Patch | null;
  seconds: Record<string, number>;
  passes: number;
  together: number;
  /** Objects that a segmentation became, and what to know of it. */
  opened: number[];
  notes: string[];
  carried: Carried | null;
}

export interface ObjectList {
  version: number;
  current: number | null;
  objects: ObjectInfo[];
}

export interface LabelPatch extends Box {
  version: number;
  labels: string;
  dtype: "uint8" | "uint16";
}

export interface Suggestion {
  object: number;
  /** Null where the model sees nothing to correct. */
  prompt: SentPrompt | null;
}

export interface ImageInfo {
  image: number;
  item: number;
  name: string;
  path: string;
  sha256: string;
  dimensions: number;
  shape: number[];
  spacing: number[];
  spacing_known: boolean;
  origin: number[];
  direction: number[][];
  affine: number[][];
  modality: string | null;
  modality_guessed: boolean;
  dtype: string;
  stored_dtype: string;
  colour: boolean;
  range: number[];
  percentiles: Record<string, number>;
  window: WindowPreset;
  presets: WindowPreset[];
  nbytes: number;
  /** Whether it has a second image. */
  linked: boolean;
  /** What to know of how the file was read. */
  notes: string[];
  /** DICOM objects that its masks can be saved as; none where it is not from DICOM files. */
  dicom_formats: string[];
  state: WorkState;
  model: string;
  /** Why the model that answered so far cannot be loaded; its masks are shown all the same. */
  model_problem: string | null;
  policy: Policy;
  tools: Tools;
  version: number;
  current: number | null;
  objects: ObjectInfo[];
  seconds: Record<string, number>;
}

/** The second image of an open one, where it lies in the world of the first. */
export interface SecondInfo {
  name: string;
  path: string;
  shape: number[];
  spacing: number[];
  origin: number[];
  direction: number[][];
  modality: string | null;
  stored_dtype: string;
  range: number[];
  percentiles: Record<string, number>;
  window: WindowPreset;
  presets: WindowPreset[];
  /** Millimetres and degrees; null where the files' places were taken. */
  shift: number | null;
  turn: number | null;
  /** Part of the first image that it covers. */
  overlap: number;
  notes: string[];
}

/** Where a second image is on the server's machine. */
export interface SecondRequest {
  path: string;
  series: string | null;
  volume: number | null;
  register: boolean;
}

/** Which image the model looks at. */
export type On = "first" | "second";

/** What studies are searched for by; an empty field stands for anything. */
export interface StudyQuery {
  patient_name: string;
  patient_id: string;
  accession: string;
  /** YYYYMMDD, or a range of which one end may be missing. */
  date: string;
  modality: string;
  identify: boolean;
}

export interface PacsStudy {
  study: string;
  modalities: string[];
  description: string;
  series: number | null;
  instances: number | null;
  date: string;
  patient_name: string;
  patient_id: string;
}

export interface PacsSeries {
  study: string;
  series: string;
  modality: string;
  number: string;
  description: string;
  instances: number | null;
}

/** Files on their way from or to the PACS. */
export interface TransferInfo {
  transfer: number;
  kind: "fetch" | "store";
  state: "running" | "done" | "stopped" | "failed";
  done: number;
  total: number | null;
  /** Where what was fetched lies; null until it is there. */
  path: string | null;
  notes: string[];
  problem: Problem | null;
}

export type SocketRequest =
  | { type: "prompt"; request: string; object: number | null; prompt: SentPrompt; predict: boolean; on: On }
  | { type: "brush"; request: string; object: number | null; box: Box; bits: string }
  | { type: "undo" | "redo"; request: string; object: number | null }
  | { type: "remove"; request: string; prompt: number }
  | { type: "cancel"; request: string | null };

export type SocketReply =
  | { type: "hello"; image: number; version: number }
  | { type: "busy"; request: string; object: number | null; ahead: number; limit: number | null }
  | { type: "predictions"; request: string; done: number; of: number }
  | { type: "answer"; request: string; change: Change }
  | { type: "changed"; change: Change }
  | { type: "progress"; what: "find-like" | "propagate"; done: number; total: number | null }
  | { type: "superseded"; request: string }
  | { type: "cancelled"; request: string }
  | { type: "error"; request: string | null; problem: Problem };

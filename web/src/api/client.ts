/** REST: one function a call, and errors that carry what the server said to do. */

import type { NamedFile } from "../ui/files";
import type {
  Change,
  EditInfo,
  ImageInfo,
  Item,
  LabelPatch,
  ModelList,
  ObjectInfo,
  ObjectList,
  PacsSeries,
  PacsStudy,
  Patch,
  Policy,
  Problem,
  PromptList,
  Proposals,
  SavedBeside,
  SecondInfo,
  SecondRequest,
  ServerState,
  StudyQuery,
  Suggestion,
  TransferInfo,
  Worklist,
  WorkState,
} from "./messages";

/** What the server rejected, or that it could not be reached (status 0). */
export class ApiError extends Error {
  constructor(
    readonly problem: Problem,
    readonly status: number,
  ) {
    super(problem.message);
  }
}

const GONE: Problem = {
  kind: "Unreachable",
  what: "The server does not answer",
  expected: null,
  got: null,
  fix: "start `bedside ui` again; everything up to the last answered prompt is saved",
  message: "The server does not answer",
};

let answered: () => void = () => undefined;

/** Runs whenever the server answers, whatever it says. */
export function whenAnswered(run: () => void): void {
  answered = run;
}

async function send(path: string, options: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(GONE, 0);
  }
  answered();
  if (response.ok) return response;
  throw new ApiError(await problemOf(response), response.status);
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    const body: unknown = await response.json();
    if (isProblem(body)) return body;
  } catch {
    // Not JSON: the line below says what can be said.
  }
  const what = `The server answered ${response.status} ${response.statusText}`;
  return { kind: "Unexpected", what, expected: null, got: null, fix: null, message: what };
}

function isProblem(body: unknown): body is Problem {
  return typeof body === "object" && body !== null && "message" in body && "what" in body;
}

async function ask<T>(method: string, path: string, body?: object, signal?: AbortSignal): Promise<T> {
  const response = await send(path, {
    method,
    signal,
    ...(body ? { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } } : {}),
  });
  return (response.status === 204 ? undefined : await response.json()) as T;
}

async function post<T>(path: string, files: NamedFile[], method = "POST"): Promise<T> {
  const form = new FormData();
  for (const { file, path: name } of files) form.append("files", file, name);
  return (await (await send(path, { method, body: form })).json()) as T;
}

const image = (id: number): string => `/api/images/${id}`;
const object = (id: number, objectId: number): string => `${image(id)}/objects/${objectId}`;

export const api = {
  state: () => ask<ServerState>("GET", "/api/state"),
  models: () => ask<ModelList>("GET", "/api/models"),

  edits: () => ask<{ edits: EditInfo[] }>("GET", "/api/edits"),

  worklist: () => ask<Worklist>("GET", "/api/worklist"),
  openItem: (item: number) => ask<ImageInfo>("POST", `/api/worklist/${item}/open`),
  setItemState: (item: number, state: WorkState) => ask<Item>("PATCH", `/api/worklist/${item}`, { state }),
  saveBeside: (item: number) => ask<SavedBeside>("POST", `/api/worklist/${item}/save`),
  removeItem: (item: number) => ask<void>("DELETE", `/api/worklist/${item}`),

  openPath: (path: string) => ask<ImageInfo>("POST", "/api/images", { path }),
  openSample: () => ask<ImageInfo>("POST", "/api/sample"),
  upload: (files: NamedFile[]) => post<ImageInfo>("/api/upload", files),

  image: (id: number) => ask<ImageInfo>("GET", image(id)),
  updateImage: (id: number, update: { model?: string; policy?: Policy; current?: number }) =>
    ask<Change>("PATCH", image(id), update),
  voxels: (id: number, signal: AbortSignal) => send(`${image(id)}/image.nii`, { signal }),
  picture: (id: number, signal: AbortSignal) => send(`${image(id)}/picture.png`, { signal }),

  second: (id: number) => ask<SecondInfo>("GET", `${image(id)}/second`),
  linkSecond: (id: number, request: SecondRequest) => ask<SecondInfo>("PUT", `${image(id)}/second`, request),
  uploadSecond: (id: number, files: NamedFile[], register: boolean) =>
    post<SecondInfo>(`${image(id)}/second?${new URLSearchParams({ register: String(register) })}`, files, "PUT"),
  unlinkSecond: (id: number) => ask<void>("DELETE", `${image(id)}/second`),
  secondVoxels: (id: number, signal: AbortSignal) => send(`${image(id)}/second/image.nii`, { signal }),

  labels: (id: number) => ask<LabelPatch>("GET", `${image(id)}/labels`),

  openSegmentation: (id: number, path: string, prior?: string) =>
    ask<Change>("POST", `${image(id)}/segmentation`, { path, prior }),
  uploadSegmentation: (id: number, files: NamedFile[], prior?: string) =>
    post<Change>(`${image(id)}/segmentation${prior ? `?${new URLSearchParams({ prior })}` : ""}`, files),

  objects: (id: number) => ask<ObjectList>("GET", `${image(id)}/objects`),
  addObject: (id: number) => ask<Change>("POST", `${image(id)}/objects`, {}),
  updateObject: (
    id: number,
    objectId: number,
    update: Partial<Pick<ObjectInfo, "name" | "colour" | "visible" | "locked" | "label">>,
  ) => ask<Change>("PATCH", object(id, objectId), update),
  deleteObject: (id: number, objectId: number) => ask<Change>("DELETE", object(id, objectId)),
  prompts: (id: number, objectId: number) => ask<PromptList>("GET", `${object(id, objectId)}/prompts`),
  mask: (id: number, objectId: number) => ask<Patch>("GET", `${object(id, objectId)}/mask`),
  edit: (id: number, objectId: number, name: string, value: number | null, other: number | null) =>
    ask<Change>("POST", `${object(id, objectId)}/edit`, { name, value, other }),
  propagate: (id: number, objectId: number, signal: AbortSignal) =>
    ask<Change>("POST", `${object(id, objectId)}/propagate`, {}, signal),
  propose: (id: number, objects: number[], threshold: number, signal: AbortSignal) =>
    ask<Proposals>("POST", `${image(id)}/proposals`, { objects, threshold }, signal),
  takeProposals: (id: number, proposals: number[], name: string) =>
    ask<Change>("POST", `${image(id)}/proposals/take`, { proposals, name }),
  removeObjects: (id: number, objects: number[]) => ask<Change>("POST", `${image(id)}/objects/remove`, { objects }),
  nextCandidate: (id: number, objectId: number) => ask<Change>("POST", `${object(id, objectId)}/next-candidate`),
  suggest: (id: number, objectId: number) => ask<Suggestion>("POST", `${object(id, objectId)}/suggest`),

  /** The file itself, with the name that the server gives it and what to know of it. */
  download: async (path: string): Promise<{ blob: Blob; name: string; notes: string[] }> => {
    const response = await send(path);
    const notes = JSON.parse(decodeURIComponent(response.headers.get("X-Bedside-Notes") ?? "[]")) as string[];
    const disposition = response.headers.get("Content-Disposition") ?? "";
    const encoded = /filename\*=(?:utf-8|UTF-8)''([^;]+)/.exec(disposition)?.[1];
    const plain = /filename="?([^";]+)"?/.exec(disposition)?.[1];
    const name = encoded ? decodeURIComponent(encoded) : (plain ?? "bedside");
    return { blob: await response.blob(), name, notes };
  },
  exportPath: (id: number, format: string, what: "labels" | "objects", policy: Policy, stripped: boolean): string => {
    const query = new URLSearchParams({ format, what, policy, ...(stripped ? { strip_phi: "true" } : {}) });
    return `${image(id)}/export?${query.toString()}`;
  },
  journalPath: (id: number): string => `${image(id)}/journal`,

  // Whom one searches for is in bodies, because addresses are logged and kept.
  pacsStudies: (query: StudyQuery) => ask<{ studies: PacsStudy[] }>("POST", "/api/pacs/studies", query),
  pacsSeries: (study: string, identify: boolean) =>
    ask<{ series: PacsSeries[] }>("POST", "/api/pacs/series", { study, identify }),
  pacsFetch: ({ study, series, modality, number }: PacsSeries) =>
    ask<TransferInfo>("POST", "/api/pacs/fetch", { study, series, modality, number }),
  pacsStore: (id: number, format: string) => ask<TransferInfo>("POST", "/api/pacs/store", { image: id, format }),
  transfer: (id: number) => ask<TransferInfo>("GET", `/api/pacs/transfers/${id}`),
  cancelTransfer: (id: number) => ask<TransferInfo>("POST", `/api/pacs/transfers/${id}/cancel`),
};

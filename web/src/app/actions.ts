/** What a person can do: every button, key and gesture ends here. */

import { ApiError, api, whenAnswered } from "../api/client";
import type {
  Box,
  Change,
  ImageInfo,
  Policy,
  Problem,
  SentPrompt,
  SocketReply,
  SocketRequest,
  WorkState,
} from "../api/messages";
import type { SocketStatus } from "../api/socket";
import type { Vec3 } from "../image/geometry";
import { encodeBits } from "../masks/bits";
import { boxOf, type Region } from "../masks/region";
import { type AppStore, currentObject, type PendingPrompt } from "../state/app";
import type { NamedFile } from "../ui/files";
import { dismiss, toast } from "../ui/toast";
import { FindingActions } from "./finding";
import { PacsActions } from "./pacs";
import { SecondActions } from "./second";
import { Timings } from "./timing";
import { Workplace } from "./workplace";

/** What messages are about that are no longer true once the server answers. */
const GONE = "server";

export class Actions {
  readonly timings = new Timings();
  readonly pacs = new PacsActions(this);
  readonly finding = new FindingActions(this);
  readonly second = new SecondActions(this);
  private place: Workplace | null = null;
  private requests = 0;
  private opening = 0;
  private lost = false;

  constructor(readonly store: AppStore) {
    whenAnswered(() => dismiss(GONE));
  }

  get workplace(): Workplace | null {
    return this.place;
  }

  // Start, open, worklist

  /** Asks the server what there is and opens what the address or the command named. */
  async start(): Promise<void> {
    await this.try(async () => {
      const [server, worklist, models] = await Promise.all([api.state(), api.worklist(), api.models()]);
      this.store.set({ server, recent: server.recent, worklist, models: models.models });
      const named = Number(/image=(\d+)/.exec(location.hash)?.[1] ?? NaN);
      if (Number.isFinite(named)) await this.open(() => api.image(named), "Opening");
      else if (server.first !== null) await this.openItem(server.first);
    });
    void this.watchWorklist();
  }

  openItem(item: number): Promise<void> {
    const name = this.store.get().worklist.items.find((entry) => entry.item === item)?.name;
    return this.open(() => api.openItem(item), `Opening ${name ?? "the image"}`);
  }

  openPath(path: string): Promise<void> {
    return this.open(() => api.openPath(path), `Opening ${path.split("/").pop() ?? path}`);
  }

  openSample(): Promise<void> {
    return this.open(() => api.openSample(), "Opening the sample");
  }

  openFiles(files: NamedFile[]): Promise<void> {
    const what = files.length === 1 ? files[0].file.name : `${files.length} files`;
    return this.open(() => api.upload(files), `Opening ${what}`);
  }

  /**
   * Puts a segmentation made elsewhere onto the image, by its path or as files, and goes to its first object. One that
   * was drawn on a prior, an image at another path, is carried over.
   */
  openSegmentation(source: string | NamedFile[], prior?: string): Promise<void> {
    const what = typeof source === "string" ? (source.split("/").pop() ?? source) : source[0].path;
    return this.try(async () => {
      const place = this.place;
      if (!place) return;
      this.store.set({
        loading: { what: prior ? `Registering and opening ${what}` : `Opening ${what}`, fraction: null },
      });
      try {
        const change = await (typeof source === "string"
          ? api.openSegmentation(place.id, source, prior)
          : api.uploadSegmentation(place.id, source, prior));
        if (place !== this.place) return;
        await place.apply(change, null);
        await place.fetchPrompts();
        const box = change.objects.find((object) => change.opened.includes(object.id) && object.box)?.box;
        if (box) this.goTo(box.start.map((low, axis) => (low + box.stop[axis] - 1) / 2).reverse());
        for (const note of change.notes) toast("info", note);
        const count = change.opened.length;
        // A list of labels may do no more than name the objects that there are.
        const told = count > 0 ? `${count} ${count === 1 ? "object" : "objects"} opened from` : "Names taken from";
        toast("done", `${told} ${what}`);
      } finally {
        if (place === this.place) this.store.set({ loading: null });
        void this.refreshWorklist();
      }
    });
  }

  private async open(get: () => Promise<ImageInfo>, what: string): Promise<void> {
    const turn = ++this.opening;
    const still = (): boolean => turn === this.opening;
    this.store.set({ loading: { what, fraction: null } });
    try {
      const info = await get();
      if (still()) await this.show(info, still);
    } catch (error) {
      if (still()) this.report(error);
    } finally {
      if (still()) this.store.set({ loading: null });
      void this.refreshWorklist();
    }
  }

  private async show(info: ImageInfo, still: () => boolean): Promise<void> {
    this.place?.close();
    this.store.get().task?.stop();
    const place = new Workplace(info, this.store, this.timings, {
      reply: (reply) => this.take(place, reply),
      status: (status) => this.connection(place, status),
      failed: (error) => this.report(error),
    });
    this.place = place;
    this.lost = false;
    place.connect();
    if (info.model_problem !== null)
      toast(
        "error",
        `Masks are shown as they were kept. ${info.model} cannot answer new prompts: ${info.model_problem}`,
        "Brush and eraser work; or choose another model",
      );
    for (const note of info.notes) toast("info", note);
    history.replaceState(null, "", `#image=${info.image}`);
    document.title = `${info.name} - Bedside`;
    this.store.set({
      image: info,
      version: info.version,
      objects: info.objects,
      current: info.current,
      prompts: {},
      pending: [],
      suggestion: null,
      shapedBox: null,
      hovered: null,
      proposals: null,
      carried: null,
      taken: null,
      untaken: null,
      second: null,
      pointer: null,
      cursor: place.geometry.centre,
      window: { level: info.window.level, width: info.window.width },
      layout: "all",
      positive: true,
    });
    const reading = place.load((fraction) => {
      if (still()) this.store.set({ loading: { what: `Loading ${info.name}`, fraction } });
    });
    await Promise.all([reading, info.objects.length > 0 ? place.refresh() : null]);
    if (!still()) return;
    this.store.set({ painted: this.store.get().painted + 1 });
    if (info.linked) void this.second.take();
    // The first frame draws; at the second it has been handed to the screen. Benchmarks read it.
    requestAnimationFrame(() => requestAnimationFrame(() => performance.mark("bedside:image")));
  }

  async refreshWorklist(): Promise<void> {
    try {
      this.store.set({ worklist: await api.worklist() });
    } catch {
      // The connection's state is told elsewhere; a list of a moment ago still serves.
    }
  }

  private async watchWorklist(): Promise<void> {
    for (;;) {
      const { worklist } = this.store.get();
      const waiting = worklist.scanning || worklist.items.length > 1;
      await new Promise((resolve) => setTimeout(resolve, worklist.scanning ? 700 : 4000));
      if (waiting && document.visibilityState === "visible") await this.refreshWorklist();
    }
  }

  /** The neighbour in the worklist. */
  async step(direction: 1 | -1): Promise<void> {
    const { worklist, image } = this.store.get();
    const position = worklist.items.findIndex((item) => item.item === image?.item);
    const next = worklist.items[position + direction];
    if (next) await this.openItem(next.item);
    else
      toast(
        "info",
        direction > 0 ? "This is the last image of the worklist." : "This is the first image of the worklist.",
      );
  }

  /** Marks an item as done, with its masks beside the image where that is wished; false where these could not be saved. */
  async finish(item: number): Promise<boolean> {
    let saved = true;
    await this.try(async () => {
      if (this.store.get().saveOnDone && this.store.get().objects.some(({ voxels }) => voxels > 0)) {
        saved = false;
        const { folder, notes } = await api.saveBeside(item);
        saved = true;
        for (const note of notes) toast("info", note);
        toast("done", `Saved beside the image, in ${folder}`);
      }
    });
    if (saved) await this.setItemState(item, "done");
    return saved;
  }

  setItemState(item: number, state: WorkState): Promise<void> {
    return this.try(async () => {
      await api.setItemState(item, state);
      await this.refreshWorklist();
    });
  }

  // Prompts

  /** Sends a prompt to the current object; `gesture` is when the pointer went up. */
  prompt(prompt: SentPrompt, gesture = performance.now()): void {
    const { current, second } = this.store.get();
    if (this.rejectLocked()) return;
    this.store.set({ suggestion: null });
    const on = second?.segmentOn ?? "first";
    this.request(
      (request) => ({ type: "prompt", request, object: current, prompt, predict: true, on }),
      prompt,
      gesture,
    );
  }

  /** The box of the object's mask becomes exactly `mask`. */
  async brush(region: Region, mask: Uint8Array, gesture = performance.now()): Promise<void> {
    const place = this.place;
    if (!place) return;
    const bits = await encodeBits(mask);
    const box: Box = boxOf(region, place.geometry.ndim);
    const { current } = this.store.get();
    this.request((request) => ({ type: "brush", request, object: current, box, bits }), null, gesture);
  }

  undo(): void {
    if (!this.finding.undo()) this.walk("undo");
  }

  redo(): void {
    if (!this.finding.redo()) this.walk("redo");
  }

  private walk(type: "undo" | "redo"): void {
    const object = currentObject(this.store.get());
    if (!object || this.rejectLocked()) return;
    if (type === "undo" ? !object.can_undo : !object.can_redo) {
      toast("info", `Nothing to ${type} in ${object.name}.`);
      return;
    }
    this.request((request) => ({ type, request, object: object.id }), null, performance.now());
  }

  removePrompt(prompt: number): void {
    if (this.rejectLocked()) return;
    this.request((request) => ({ type: "remove", request, prompt }), null, performance.now());
  }

  suggest(): Promise<void> {
    return this.try(async () => {
      const { current } = this.store.get();
      if (!this.place || current === null) return;
      const { prompt } = await api.suggest(this.place.id, current);
      if (prompt === null) return toast("info", "The model sees nothing to correct.");
      this.store.set({ suggestion: prompt });
      if (prompt.kind === "point") this.goTo(prompt.position);
    });
  }

  /** A classical tool on an object's mask. */
  edit(object: number, name: string, value: number | null, other: number | null): Promise<void> {
    return this.change(async (id) => {
      const change = await api.edit(id, object, name, value, other);
      if (!change.patch) toast("info", "Nothing has changed: the tool found nothing to do.");
      return change;
    });
  }

  /** Another mask that the prompts may mean. */
  nextCandidate(): Promise<void> {
    const object = currentObject(this.store.get());
    if (!object || this.rejectLocked()) return Promise.resolve();
    const before = object.prompts;
    return this.change(async (id) => {
      const change = await api.nextCandidate(id, object.id);
      const after = change.objects.find((seen) => seen.id === object.id);
      if (after?.voxels === object.voxels && after.prompts === before) toast("info", "The prompts mean one size only.");
      return change;
    });
  }

  /** True, and says so, where the current object must not be changed. */
  rejectLocked(): boolean {
    const object = currentObject(this.store.get());
    if (!object?.locked) return false;
    toast("info", `${object.name} is locked. Unlock it in the list of objects, or begin a new object (N).`);
    return true;
  }

  private request(make: (request: string) => SocketRequest, prompt: SentPrompt | null, gesture: number): void {
    if (!this.place) return;
    const request = `r${++this.requests}`;
    const message = make(request);
    this.timings.begin(request, gesture);
    if (!this.place.send(message)) {
      toast(
        "error",
        "Not sent: the server does not answer. Start `bedside ui` again; earlier work is saved.",
        undefined,
        GONE,
      );
      return;
    }
    const object = "object" in message ? message.object : null;
    this.store.set({ pending: [...this.store.get().pending, { request, object, prompt, since: gesture }] });
  }

  private take(place: Workplace, reply: SocketReply): void {
    if (place !== this.place) return;
    switch (reply.type) {
      case "hello":
        // Versions begin again with the server; after a lost connection only what it says now is true.
        if (this.lost || reply.version !== this.store.get().version) void place.refresh();
        this.lost = false;
        break;
      case "answer":
        void place.apply(reply.change, reply.request).then(() => this.answered(reply.request));
        void this.learnTools();
        break;
      case "changed":
        void place.apply(reply.change, null).then(() => place.fetchPrompts());
        break;
      case "superseded":
        this.answered(reply.request);
        break;
      case "cancelled":
        this.answered(reply.request);
        toast("info", "Stopped. Nothing has changed.");
        break;
      case "error":
        this.answered(reply.request);
        this.report(new ApiError(reply.problem, 400));
        break;
      case "progress":
        this.finding.progress(reply.what, reply.done, reply.total);
        break;
      case "predictions": {
        const { done, of } = reply;
        const told = (one: PendingPrompt) => (one.request === reply.request ? { ...one, progress: { done, of } } : one);
        this.store.set({ pending: this.store.get().pending.map(told) });
        break;
      }
      case "busy":
        break;
    }
  }

  /** Stop the answers under way; the server says of each that it ended, or answers where it was done already. */
  stop(): void {
    this.store.get().task?.stop();
    this.place?.send({ type: "cancel", request: null });
  }

  private answered(request: string | null): void {
    this.store.set({ pending: this.store.get().pending.filter((pending) => pending.request !== request) });
    const { image, worklist } = this.store.get();
    if (worklist.items.find((item) => item.item === image?.item)?.state === "new") void this.refreshWorklist();
  }

  /** What a model offers beyond its kinds of prompts is known once it is loaded, which its first answer tells. */
  private async learnTools(): Promise<void> {
    const { image } = this.store.get();
    if (!image || image.tools.suggest !== null) return;
    await this.try(async () => {
      const { tools } = await api.image(image.image);
      if (this.store.get().image?.image === image.image) this.patchImage({ tools });
    });
  }

  private connection(place: Workplace, status: SocketStatus): void {
    if (place !== this.place) return;
    if (status === "lost") this.lost = true;
    if (status === "open") dismiss(GONE);
    this.store.set({ connection: status, ...(status === "lost" ? { pending: [] } : {}) });
  }

  // Objects and image

  addObject(): Promise<void> {
    return this.change((id) => api.addObject(id));
  }

  select(object: number): Promise<void> {
    if (object === this.store.get().current) return Promise.resolve();
    return this.change((id) => api.updateImage(id, { current: object }));
  }

  updateObject(
    object: number,
    update: { name?: string; colour?: string; visible?: boolean; locked?: boolean; label?: number },
  ): Promise<void> {
    return this.change((id) => api.updateObject(id, object, update));
  }

  deleteObject(object: number): Promise<void> {
    return this.change((id) => api.deleteObject(id, object));
  }

  setPolicy(policy: Policy): Promise<void> {
    return this.change(async (id) => {
      const change = await api.updateImage(id, { policy });
      this.patchImage({ policy });
      return change;
    });
  }

  async setModel(model: string): Promise<void> {
    this.store.set({ loading: { what: `Loading ${model}; all prompts are answered again`, fraction: null } });
    await this.change(async (id) => {
      const change = await api.updateImage(id, { model });
      const { tools, model_problem } = await api.image(id);
      this.patchImage({ model, tools, model_problem });
      return change;
    });
    this.store.set({ loading: null });
  }

  private patchImage(patch: Partial<ImageInfo>): void {
    const { image } = this.store.get();
    if (image) this.store.set({ image: { ...image, ...patch } });
  }

  /** Asks for a change and takes it; what goes wrong is told. */
  change(ask: (image: number) => Promise<Change>): Promise<void> {
    return this.try(async () => {
      const place = this.place;
      if (!place) return;
      const change = await ask(place.id);
      if (place !== this.place) return;
      await place.apply(change, null);
      await place.fetchPrompts();
    });
  }

  /** The crosshair, and with it the slices of all views, to a place (x, y[, z]) of the index frame. */
  goTo(position: readonly number[]): void {
    const place = this.place;
    if (!place) return;
    const cursor = place.geometry.size.map((n, axis) =>
      Math.max(0, Math.min(n - 1, Math.round(position[axis] ?? 0))),
    ) as Vec3;
    this.store.set({ cursor });
  }

  async save(path: string): Promise<void> {
    await this.try(async () => {
      const { blob, name, notes } = await api.download(path);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(blob);
      link.download = name;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
      for (const note of notes) toast("info", note);
      toast("done", `Saved ${name}`);
    });
  }

  async try(action: () => Promise<void>): Promise<void> {
    try {
      await action();
    } catch (error) {
      this.report(error);
    }
  }

  /** Tells a person what went wrong and what to do. */
  report(error: unknown): void {
    if (error instanceof DOMException && error.name === "AbortError") return;
    if (error instanceof ApiError)
      toast("error", saidOf(error.problem), error.problem.fix ?? undefined, error.status === 0 ? GONE : undefined);
    else toast("error", error instanceof Error ? error.message : String(error));
  }
}

/** What went wrong, what would have been right, and what came instead. */
function saidOf({ what, expected, got }: Problem): string {
  const parts = [expected ? `expected ${expected}` : "", got ? `got ${got}` : ""].filter(Boolean);
  return parts.length > 0 ? `${what}: ${parts.join(", ")}` : what;
}

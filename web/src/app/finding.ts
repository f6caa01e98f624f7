/** What the network finds by itself: others of the kind, proposed and accepted; and a mask carried along slices. */

import { ApiError, api } from "../api/client";
import type { Change } from "../api/messages";
import { decodeLabels } from "../masks/bits";
import { LabelVolume } from "../masks/labels";
import { regionCount, regionOf } from "../masks/region";
import { currentObject, type Task } from "../state/app";
import { accepted, kindOf, shown } from "../state/proposals";
import { carryRejection, likeRejection } from "../tools/catalogue";
import { toast } from "../ui/toast";
import type { Actions } from "./actions";

/** How alike a proposal is at least for the slider to reach it, and where the slider begins. */
const LEAST = 0.2;
const USUAL = 0.4;

export class FindingActions {
  constructor(private readonly actions: Actions) {}

  /** Proposes all that is like the objects that are shown; nothing changes yet. */
  async find(): Promise<void> {
    const { store } = this.actions;
    const place = this.actions.workplace;
    if (!place || likeRejection(store.get()) !== null) return;
    const examples = store.get().objects.filter(({ visible, voxels }) => visible && voxels > 0);
    const found = await this.run("find-like", (signal) =>
      api.propose(
        place.id,
        examples.map(({ id }) => id),
        LEAST,
        signal,
      ),
    );
    if (!found || place !== this.actions.workplace) return;
    if (found.proposals.length === 0) return toast("info", "Nothing else looks like the objects that are shown.");
    const region = regionOf(found.labels);
    const volume = new LabelVolume(place.geometry.size);
    volume.paste(region, await decodeLabels(found.labels.labels, found.labels.dtype, regionCount(region)));
    place.proposals = volume;
    const best = found.proposals[0].score;
    store.set({ proposals: { all: found.proposals, threshold: Math.min(USUAL, best), dropped: [], at: null } });
    this.step(1);
  }

  setThreshold(threshold: number): void {
    const found = this.actions.store.get().proposals;
    if (found) this.actions.store.set({ proposals: { ...found, threshold } });
  }

  /** To the next or the previous proposal. */
  step(direction: 1 | -1): void {
    const found = this.actions.store.get().proposals;
    if (!found) return;
    const all = shown(found);
    if (all.length === 0) return;
    const before = all.findIndex(({ proposal }) => proposal === found.at);
    const next = all[(before + (before < 0 && direction < 0 ? 0 : direction) + all.length) % all.length];
    this.actions.store.set({ proposals: { ...found, at: next.proposal } });
    this.actions.goTo(next.box.start.map((low, axis) => (low + next.box.stop[axis] - 1) / 2).reverse());
  }

  /** Drops a proposal, or takes it back; the one in hand by default. */
  toggle(proposal = this.actions.store.get().proposals?.at ?? 0): void {
    const found = this.actions.store.get().proposals;
    if (!found?.all.some((one) => one.proposal === proposal)) return;
    const dropped = found.dropped.includes(proposal)
      ? found.dropped.filter((one) => one !== proposal)
      : [...found.dropped, proposal];
    this.actions.store.set({ proposals: { ...found, dropped, at: proposal } });
  }

  /** Begins an object for each that is accepted; one undo takes all of them away. */
  async accept(): Promise<void> {
    const { store } = this.actions;
    const found = store.get().proposals;
    if (!found) return;
    const numbers = accepted(found).map(({ proposal }) => proposal);
    if (numbers.length === 0) return this.discard();
    const example = store.get().objects.find(({ visible, voxels }) => visible && voxels > 0);
    this.discard();
    await this.begin(numbers, kindOf(example?.name ?? "object"));
  }

  private begin(proposals: number[], name: string): Promise<void> {
    return this.actions.change(async (id) => {
      const change = await api.takeProposals(id, proposals, name);
      const { opened: objects, version } = change;
      this.actions.store.set({ taken: { objects, proposals, name, version }, untaken: null });
      const count = objects.length;
      toast("done", `${count} ${count === 1 ? "object" : "objects"} begun; Ctrl+Z takes all of them away`);
      return change;
    });
  }

  discard(): void {
    this.actions.store.set({ proposals: null });
    if (this.actions.workplace) this.actions.workplace.proposals = null;
  }

  /** Takes away what was accepted last, if nothing has changed since; false where there is no such thing. */
  undo(): boolean {
    const { taken, version } = this.actions.store.get();
    if (!taken || taken.version !== version) return false;
    this.actions.store.set({ taken: null });
    void this.actions.change(async (id) => {
      const change = await api.removeObjects(id, taken.objects);
      this.actions.store.set({ untaken: { ...taken, version: change.version } });
      return change;
    });
    return true;
  }

  /** Begins them again, if nothing has changed since; false where there is no such thing. */
  redo(): boolean {
    const { untaken, version } = this.actions.store.get();
    if (!untaken || untaken.version !== version) return false;
    this.actions.store.set({ untaken: null });
    void this.begin(untaken.proposals, untaken.name);
    return true;
  }

  /** Carries the current object's mask along the slices; one undo takes it back. */
  async propagate(): Promise<void> {
    const { store } = this.actions;
    const place = this.actions.workplace;
    const object = currentObject(store.get());
    if (!place || !object || carryRejection(store.get()) !== null || this.actions.rejectLocked()) return;
    const change: Change | null = await this.run("propagate", (signal) => api.propagate(place.id, object.id, signal));
    if (!change?.carried || place !== this.actions.workplace) return;
    await place.apply(change, null);
    store.set({ carried: { object: object.id, version: change.version, info: change.carried } });
  }

  keep(): void {
    this.actions.store.set({ carried: null });
  }

  progress(what: Task["what"], done: number, total: number | null): void {
    const { task } = this.actions.store.get();
    if (task?.what === what) this.actions.store.set({ task: { ...task, done, total } });
  }

  /** Asks for what takes long; null where it was stopped or failed, which is said. */
  private async run<T>(what: Task["what"], ask: (signal: AbortSignal) => Promise<T>): Promise<T | null> {
    const { store } = this.actions;
    if (store.get().task) return null;
    const aborter = new AbortController();
    store.set({ task: { what, done: 0, total: null, stop: () => aborter.abort() }, proposals: null, carried: null });
    try {
      return await ask(aborter.signal);
    } catch (error) {
      const stopped = aborter.signal.aborted || (error instanceof ApiError && error.problem.kind === "StoppedError");
      if (stopped) toast("info", "Stopped. Nothing has changed.");
      else this.actions.report(error);
      return null;
    } finally {
      store.set({ task: null });
    }
  }
}

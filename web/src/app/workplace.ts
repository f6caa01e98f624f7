/** The open image: its grid, voxels and labels, and the line to the server. */

import { ApiError, api } from "../api/client";
import type { Change, ImageInfo, SecondInfo, SocketReply, SocketRequest } from "../api/messages";
import { ImageSocket, type SocketStatus } from "../api/socket";
import { Geometry } from "../image/geometry";
import type { Second } from "../image/second";
import { readAll, type Voxels, voxelsOfNifti, voxelsOfPicture } from "../image/voxels";
import { decodeBits, decodeLabels } from "../masks/bits";
import { LabelVolume } from "../masks/labels";
import { ObjectMask } from "../masks/object_mask";
import { regionCount, regionOf } from "../masks/region";
import type { AppStore } from "../state/app";
import type { Timings } from "./timing";

export interface WorkplaceEvents {
  reply(reply: SocketReply): void;
  status(status: SocketStatus): void;
  failed(error: unknown): void;
}

export class Workplace {
  readonly geometry: Geometry;
  readonly labels: LabelVolume;
  voxels: Voxels | null = null;
  /** Which proposal is where, while some are looked at. */
  proposals: LabelVolume | null = null;
  /** The second image, where one is linked. */
  second: Second | null = null;
  private readonly masks = new Map<number, ObjectMask>();
  private readonly socket: ImageSocket;
  private readonly aborter = new AbortController();
  /** Changes are applied one after the other, because decoding waits. */
  private queue: Promise<void> = Promise.resolve();

  constructor(
    readonly info: ImageInfo,
    private readonly store: AppStore,
    private readonly timings: Timings,
    private readonly events: WorkplaceEvents,
  ) {
    this.geometry = new Geometry(info);
    this.labels = new LabelVolume(this.geometry.size);
    this.socket = new ImageSocket(info.image, { reply: events.reply, status: events.status });
  }

  get id(): number {
    return this.info.image;
  }

  connect(): void {
    this.socket.connect();
  }

  async load(progress: (fraction: number) => void): Promise<void> {
    const { signal } = this.aborter;
    if (this.info.colour) {
      const response = await api.picture(this.id, signal);
      this.voxels = await voxelsOfPicture(await response.blob(), this.geometry.size);
    } else {
      const response = await api.voxels(this.id, signal);
      this.voxels = voxelsOfNifti(await readAll(response, progress), this.geometry.size);
    }
  }

  /** Reads the second image that the server has linked. */
  async loadSecond(info: SecondInfo, progress: (fraction: number) => void): Promise<void> {
    const geometry = new Geometry({ ...info, spacing_known: true });
    const response = await api.secondVoxels(this.id, this.aborter.signal);
    this.second = { voxels: voxelsOfNifti(await readAll(response, progress), geometry.size), geometry };
  }

  close(): void {
    this.aborter.abort();
    this.socket.close();
  }

  send(request: SocketRequest): boolean {
    return this.socket.send(request);
  }

  /** Takes a change in its turn; `request` names the timing it belongs to. */
  apply(change: Change, request: string | null): Promise<void> {
    if (request) {
      const { patch } = change;
      this.timings.received(request, change.seconds, patch ? patch.labels.length + (patch.bits?.length ?? 0) : 0);
    }
    return this.inTurn(async () => {
      const { version } = this.store.get();
      if (change.version > version + 1) return this.fetchAll();
      if (change.version > version) await this.take(change);
      if (request) this.timings.decoded(request);
    });
  }

  /** Everything again from the server: at the beginning, and after a change was missed. */
  refresh(): Promise<void> {
    return this.inTurn(() => this.fetchAll());
  }

  /** The object's own mask, from the server once and by patches from then on. */
  async mask(object: number): Promise<ObjectMask> {
    const known = this.masks.get(object);
    if (known) return known;
    await this.inTurn(async () => {
      const patch = await api.mask(this.id, object);
      const region = regionOf(patch);
      const bits = patch.bits ? await decodeBits(patch.bits, regionCount(region)) : new Uint8Array(regionCount(region));
      this.masks.set(object, new ObjectMask(region, bits));
    });
    return this.masks.get(object) ?? this.mask(object);
  }

  private inTurn(step: () => Promise<void>): Promise<void> {
    const done = this.queue.then(step);
    this.queue = done.catch((error: unknown) => {
      if (!this.aborter.signal.aborted) this.events.failed(error);
    });
    return this.queue;
  }

  private async take(change: Change): Promise<void> {
    const { patch } = change;
    if (patch) {
      const region = regionOf(patch);
      const count = regionCount(region);
      const mask = change.object !== null ? this.masks.get(change.object) : undefined;
      const [labels, bits] = await Promise.all([
        decodeLabels(patch.labels, patch.dtype, count),
        mask && patch.bits ? decodeBits(patch.bits, count) : null,
      ]);
      this.labels.paste(region, labels);
      if (mask && bits) mask.paste(region, bits);
      if (!patch.bits) this.masks.clear();
    }
    const { prompts, painted } = this.store.get();
    this.store.set({
      version: change.version,
      objects: change.objects,
      current: change.current,
      ...(change.object !== null && change.prompts ? { prompts: { ...prompts, [change.object]: change.prompts } } : {}),
      ...(patch ? { painted: painted + 1 } : {}),
    });
  }

  private async fetchAll(): Promise<void> {
    const [list, labels] = await Promise.all([api.objects(this.id), api.labels(this.id)]);
    const region = regionOf(labels);
    const count = regionCount(region);
    if (count > 0) this.labels.replace(region, await decodeLabels(labels.labels, labels.dtype, count));
    else this.labels.replace({ low: [0, 0, 0], high: [0, 0, 0] }, new Uint8Array());
    this.masks.clear();
    this.store.set({
      version: Math.min(list.version, labels.version),
      objects: list.objects,
      current: list.current,
      prompts: {},
      painted: this.store.get().painted + 1,
    });
    await this.fetchPrompts();
  }

  /** The prompts of the current object, where they are not yet known. */
  async fetchPrompts(): Promise<void> {
    const { current, prompts } = this.store.get();
    if (current === null || prompts[current]) return;
    try {
      const list = await api.prompts(this.id, current);
      this.store.set({ prompts: { [list.object]: list.prompts, ...this.store.get().prompts } });
    } catch (error) {
      // Deleted meanwhile by another tab: its change is on the way.
      if (!(error instanceof ApiError && error.status === 404)) throw error;
    }
  }
}

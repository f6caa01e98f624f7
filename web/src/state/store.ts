/** A small observable store: what changed is told once a frame at most. */

export class Store<S extends object> {
  private readonly watchers: { keys: readonly (keyof S)[]; run: () => void }[] = [];
  private readonly changed = new Set<keyof S>();
  private scheduled = false;

  constructor(
    private state: S,
    private readonly schedule: (run: () => void) => void = (run) => void requestAnimationFrame(run),
  ) {}

  get(): Readonly<S> {
    return this.state;
  }

  set(patch: Partial<S>): void {
    for (const key of Object.keys(patch) as (keyof S)[]) if (this.state[key] !== patch[key]) this.changed.add(key);
    this.state = { ...this.state, ...patch };
    if (this.changed.size > 0 && !this.scheduled) {
      this.scheduled = true;
      this.schedule(() => this.tell());
    }
  }

  /** Runs now and after every change of one of the keys. */
  watch(keys: readonly (keyof S)[], run: () => void): void {
    this.watchers.push({ keys, run });
    run();
  }

  private tell(): void {
    this.scheduled = false;
    const changed = new Set(this.changed);
    this.changed.clear();
    for (const { keys, run } of this.watchers) if (keys.some((key) => changed.has(key))) run();
  }
}

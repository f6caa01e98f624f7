/** Where the time of a prompt goes, from the end of the gesture to the painted mask; read by benchmarks. */

export interface Timing {
  request: string;
  /** performance.now() at each step. */
  gesture: number;
  sent: number;
  received: number;
  decoded: number;
  painted: number;
  /** Wall time of the server's stages, in seconds. */
  server: Record<string, number>;
  /** Bytes of the answer's patch as sent. */
  bytes: number;
}

const KEPT = 500;

export class Timings {
  readonly done: Timing[] = [];
  private readonly open = new Map<string, Timing>();

  begin(request: string, gesture: number): void {
    this.open.set(request, {
      request,
      gesture,
      sent: performance.now(),
      received: 0,
      decoded: 0,
      painted: 0,
      server: {},
      bytes: 0,
    });
  }

  received(request: string, server: Record<string, number>, bytes: number): void {
    const timing = this.open.get(request);
    if (timing) Object.assign(timing, { received: performance.now(), server, bytes });
  }

  /** The labels are in place; the next frame shows them. */
  decoded(request: string): void {
    const timing = this.open.get(request);
    if (!timing) return;
    this.open.delete(request);
    timing.decoded = performance.now();
    // The first frame draws; when the second begins, it has been handed to the screen.
    requestAnimationFrame(() =>
      requestAnimationFrame(() => {
        timing.painted = performance.now();
        this.done.push(timing);
        if (this.done.length > KEPT) this.done.shift();
      }),
    );
  }
}

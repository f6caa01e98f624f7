/** The WebSocket of one image: prompts go out, changes come in, and a lost connection is taken up again. */

import type { SocketReply, SocketRequest } from "./messages";

export type SocketStatus = "connecting" | "open" | "lost" | "rejected";

export interface SocketEvents {
  reply(reply: SocketReply): void;
  status(status: SocketStatus): void;
}

const RETRY_MS = 1000;
/** Close code: the server knows no such image. */
const NO_IMAGE = 4404;
/** Close code: the page goes to another image, and what it asked for this one is still wanted. */
const GOES_ON = 4000;

export class ImageSocket {
  private socket: WebSocket | null = null;
  private closed = false;
  private timer: number | undefined;

  constructor(
    private readonly image: number,
    private readonly events: SocketEvents,
  ) {}

  /** False where there is no connection: nothing was sent. */
  send(request: SocketRequest): boolean {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(request));
    return true;
  }

  close(): void {
    this.closed = true;
    window.clearTimeout(this.timer);
    this.socket?.close(GOES_ON);
  }

  /** Once; from then on it connects again by itself. */
  connect(): void {
    this.events.status("connecting");
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/api/images/${this.image}/ws`);
    this.socket = socket;
    socket.onmessage = (event: MessageEvent<string>) => {
      if (!this.closed) this.events.reply(JSON.parse(event.data) as SocketReply);
    };
    socket.onopen = () => this.events.status("open");
    socket.onclose = (event) => {
      if (this.closed) return;
      this.events.status("lost");
      if (event.code === NO_IMAGE) this.events.status("rejected");
      else this.timer = window.setTimeout(() => void this.again(), RETRY_MS);
    };
  }

  /** A browser does not say why a socket was rejected; an ordinary question does. */
  private async again(): Promise<void> {
    let status = 0;
    try {
      status = (await fetch(`/api/images/${this.image}`)).status;
    } catch {
      // No server yet.
    }
    if (this.closed) return;
    if (status === 401 || status === 403 || status === 404) this.events.status("rejected");
    else if (status === 200) this.connect();
    else this.timer = window.setTimeout(() => void this.again(), RETRY_MS);
  }
}

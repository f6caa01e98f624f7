/** Short messages at the foot of the page, read out by screen readers. */

import { h } from "./dom";
import { icon } from "./icons";

export type ToastKind = "info" | "done" | "error";

const SECONDS: Record<ToastKind, number> = { info: 5, done: 4, error: 15 };

let polite: HTMLElement | null = null;
let urgent: HTMLElement | null = null;
let corner: HTMLElement | null = null;

export function toastRegions(): HTMLElement {
  polite = h("div", { role: "status", class: "toasts" });
  urgent = h("div", { role: "alert", class: "toasts" });
  corner = h("div", { class: "toast-corner" }, urgent, polite);
  return corner;
}

/** Puts the messages into an open dialog, which all outside lies dimmed and dead behind; or back onto the page. */
export function holdToasts(host: HTMLElement): void {
  if (corner && corner.parentElement !== host) host.append(corner);
}

/** Takes away what is no longer so: the messages about a subject. */
export function dismiss(about: string): void {
  for (const message of document.querySelectorAll(`.toast[data-about="${CSS.escape(about)}"]`)) message.remove();
}

/** Says something for a while; `about` names a subject by which it can be dismissed. */
export function toast(kind: ToastKind, what: string, fix?: string, about?: string): void {
  const region = kind === "error" ? urgent : polite;
  if (!region) return;
  const close = h(
    "button",
    { class: "icon-button", "aria-label": "Dismiss", onclick: () => message.remove() },
    icon("close"),
  );
  const message = h(
    "div",
    { class: `toast toast-${kind}`, "data-about": about },
    h(
      "div",
      { class: "toast-text" },
      h("p", {}, sentence(what)),
      fix ? h("p", { class: "toast-fix" }, sentence(fix)) : null,
    ),
    close,
  );
  for (const earlier of region.children) if (earlier.textContent === message.textContent) earlier.remove();
  region.append(message);
  while (region.children.length > 3) region.firstElementChild?.remove();
  setTimeout(() => message.remove(), SECONDS[kind] * 1000);
}

function sentence(text: string): string {
  const capital = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(capital) ? capital : `${capital}.`;
}

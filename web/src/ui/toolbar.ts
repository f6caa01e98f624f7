/** The toolbar of the ARIA practices: one stop of the Tab key for all buttons, and arrow keys from one to the next. */

const STEPS: Record<string, 1 | -1> = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 };

/** Buttons that are drawn again later are taken in when `refresh` is called. */
export function roving(bar: HTMLElement): { refresh: () => void } {
  const buttons = (): HTMLButtonElement[] =>
    [...bar.querySelectorAll("button")].filter((button) => !button.hidden && !button.disabled);
  let at: HTMLButtonElement | null = null;
  const refresh = (): void => {
    const all = buttons();
    const focused = all.find((button) => button === document.activeElement);
    const pressed = all.find((button) => button.getAttribute("aria-pressed") === "true");
    if (focused || !at || !all.includes(at)) at = focused ?? pressed ?? all[0] ?? null;
    for (const button of all) button.tabIndex = button === at ? 0 : -1;
  };
  bar.addEventListener("focusin", refresh);
  bar.addEventListener("keydown", (event) => {
    const all = buttons();
    const place = all.indexOf(event.target as HTMLButtonElement);
    if (place < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    const step = STEPS[event.key];
    const next =
      step !== undefined ? (place + step + all.length) % all.length : { Home: 0, End: all.length - 1 }[event.key];
    if (next === undefined) return;
    all[next].focus();
    event.preventDefault();
    event.stopPropagation();
  });
  return { refresh };
}

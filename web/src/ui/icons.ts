/** Line icons of 20 x 20, drawn for this page. */

const PATHS = {
  move: "M10 2v16M2 10h16M10 2 7.5 4.5M10 2l2.5 2.5M10 18l-2.5-2.5M10 18l2.5-2.5M2 10l2.5-2.5M2 10l2.5 2.5M18 10l-2.5-2.5M18 10l-2.5 2.5",
  window: "M10 3a7 7 0 1 0 0 14a7 7 0 1 0 0-14M10 3v14M10 6h4M10 10h7M10 14h4",
  point: "M10 6.5a3.5 3.5 0 1 0 0 7a3.5 3.5 0 1 0 0-7M10 1.5v3M10 15.5v3M1.5 10h3M15.5 10h3",
  box: "M4 5h12v10H4zM2.5 3.5h3v3h-3zM14.5 13.5h3v3h-3z",
  scribble: "M3 14c2-7 4-9 5-7s-2 8 1 8 3-8 5-9 3 2 3 3",
  lasso: "M10 4c4.5 0 7 2 7 4.5S14 13 10 13s-7-2-7-4.5S5.5 4 10 4M6 12c-1 2 .5 2.5 0 5",
  brush: "M16.5 3.5 9 11M9 11c-2 0-3.5 1.5-3.5 3.5 0 1-.8 2-2 2 3 1.5 7.5.5 7.5-3.5 0-1-.8-2-2-2z",
  eraser: "M7 16 3 12l8.5-8.5L17 9l-7 7zM7.5 7.5 13 13M7 16h10",
  suggest: "M10 2.5a5 5 0 0 0-3 9c.8.6 1 1.5 1 2.5h4c0-1 .2-1.9 1-2.5a5 5 0 0 0-3-9M8 17h4",
  size: "M2.5 2.5h15v15h-15zM6 17.5V6h11.5M11 17.5V11h6.5",
  carry: "M3 12.5 10 16l7-3.5M3 9l7 3.5L17 9M10 2.5 3 6l7 3.5L17 6z",
  alike:
    "M6 3.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 1 0 0-5M14 3.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 1 0 0-5M6 11.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 1 0 0-5M14 11.5v5M11.5 14h5",
  edit: "M4 16h12M6 4h8v8H6zM9 4V2.5M11 4V2.5M6 8H4.5M14 8h1.5",
  plus: "M10 4v12M4 10h12",
  minus: "M4 10h12",
  undo: "M4 8h8a4 4 0 0 1 0 8H8M4 8l3.5-3.5M4 8l3.5 3.5",
  redo: "M16 8H8a4 4 0 0 0 0 8h4M16 8l-3.5-3.5M16 8l-3.5 3.5",
  eye: "M2 10s3-5.5 8-5.5 8 5.5 8 5.5-3 5.5-8 5.5S2 10 2 10M10 7.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 1 0 0-5",
  hidden: "M2 10s3-5.5 8-5.5 8 5.5 8 5.5-3 5.5-8 5.5S2 10 2 10M3.5 16.5l13-13",
  lock: "M5 9h10v8H5zM7 9V6a3 3 0 0 1 6 0v3",
  unlock: "M5 9h10v8H5zM7 9V6a3 3 0 0 1 5.8-1",
  trash: "M4 5.5h12M8 5.5V3.5h4v2M5.5 5.5l.7 11h7.6l.7-11M8.5 8.5v5M11.5 8.5v5",
  close: "M5 5l10 10M15 5 5 15",
  open: "M2.5 16V4.5h5l2 2h8V16zM2.5 9h15",
  archive: "M3 4.5h14v4H3zM4.5 8.5v7h11v-7M8 11.5h4",
  grid: "M3 3h14v14H3zM10 3v14M3 10h14",
  columns: "M2.5 4h15v12h-15zM7.5 4v12M12.5 4v12",
  aside: "M2.5 3h15v14h-15zM12.5 3v14M12.5 7.7h5M12.5 12.3h5",
  pair: "M3 3h9v9H3zM8 12v5h9V8h-5",
  save: "M10 3v9M6.5 8.5 10 12l3.5-3.5M3.5 13v3.5h13V13",
  sun: "M10 6.5a3.5 3.5 0 1 0 0 7a3.5 3.5 0 1 0 0-7M10 1.5v2M10 16.5v2M1.5 10h2M16.5 10h2M4 4l1.4 1.4M14.6 14.6 16 16M4 16l1.4-1.4M14.6 5.4 16 4",
  moon: "M16.5 12.5A7 7 0 0 1 7.5 3.5a7 7 0 1 0 9 9",
  help: "M10 2.5a7.5 7.5 0 1 0 0 15a7.5 7.5 0 1 0 0-15M7.8 8a2.2 2.2 0 1 1 3.2 2c-.7.4-1 .8-1 1.7M10 14v.5",
  previous: "M12.5 4.5 7 10l5.5 5.5",
  next: "M7.5 4.5 13 10l-5.5 5.5",
  list: "M3 5h1M7 5h10M3 10h1M7 10h10M3 15h1M7 15h10",
  check: "M4 10.5 8 14.5 16 5.5",
  expand: "M3 8V3h5M17 12v5h-5M3 3l5.5 5.5M17 17l-5.5-5.5",
  shrink: "M8.5 3.5v5h-5M11.5 16.5v-5h5M8.5 8.5 3 3M11.5 11.5 17 17",
  target: "M10 3.5a6.5 6.5 0 1 0 0 13a6.5 6.5 0 1 0 0-13M10 8.5a1.5 1.5 0 1 0 0 3a1.5 1.5 0 1 0 0-3",
  fit: "M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4M7 7h6v6H7z",
  chevron: "M5.5 8 10 12.5 14.5 8",
} as const;

export type IconName = keyof typeof PATHS;

export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}

/** How dates and counts of a PACS are written, and read. */

/** A range as DICOM has it, from two days as the browser has them; either may be missing. */
export function rangeOf(from: string, until: string): string {
  const [low, high] = [from, until].map((day) => day.replaceAll("-", ""));
  if (!low && !high) return "";
  return low === high ? low : `${low}-${high}`;
}

/** A day for people: 2024-02-29 for 20240229. */
export function dayOf(date: string): string {
  return /^\d{8}$/.test(date) ? `${date.slice(0, 4)}-${date.slice(4, 6)}-${date.slice(6)}` : date;
}

/** A name for people: "Quixote, Dulcinea" for "Quixote^Dulcinea". */
export function nameOf(name: string): string {
  const [family, ...others] = name.split("=")[0].split("^");
  return [family, others.filter(Boolean).join(" ")].filter(Boolean).join(", ");
}

export function countsOf(series: number | null, instances: number | null): string {
  return [
    series === null ? "" : `${series} series`,
    instances === null ? "" : `${instances} ${instances === 1 ? "file" : "files"}`,
  ]
    .filter(Boolean)
    .join(", ");
}

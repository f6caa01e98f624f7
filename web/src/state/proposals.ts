/** Which proposals are shown, and which are accepted. */

import type { Found } from "./app";

/** The proposals that the slider lets through, the most alike first. */
export function shown(found: Found): Found["all"] {
  return found.all.filter(({ score }) => score >= found.threshold);
}

/** Those of them that nobody dropped. */
export function accepted(found: Found): Found["all"] {
  return shown(found).filter(({ proposal }) => !found.dropped.includes(proposal));
}

/** What objects like one are called: its name without a number at its end. */
export function kindOf(name: string): string {
  return name.replace(/[\s_-]*\d+$/, "") || name;
}

/** What the image's model does not take, apart from whole tools. */

import type { AppState } from "../state/app";

/** Why boxes are drawn on one slice; null where they may have depth. */
export function deepBoxRejection(state: Readonly<AppState>): string | null {
  if (state.image?.dimensions !== 3) return "A picture has no depth";
  return state.image.tools.flat_boxes ? `${state.image.model} takes boxes on one slice only` : null;
}

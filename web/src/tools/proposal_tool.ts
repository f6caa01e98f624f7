/** While proposals are shown a click drops one, or takes it back. */

import type { Vec3 } from "../image/geometry";
import type { Pointer, Stage, Tool } from "./tool";

export class ProposalTool implements Tool {
  cursor = "pointer";

  up(stage: Stage, pointer: Pointer): void {
    if (!stage.place.geometry.contains(pointer.index)) return;
    const proposal = stage.place.proposals?.at(pointer.index.map(Math.round) as Vec3);
    if (proposal) stage.actions.finding.toggle(proposal);
  }
}

/** What a person can do with the PACS: search, open, stop, store. */

import { ApiError, api } from "../api/client";
import type { PacsSeries, TransferInfo } from "../api/messages";
import { toast } from "../ui/toast";
import type { Actions } from "./actions";

const ASK_AGAIN_MS = 200;
/** Kinds of series that are opened onto the image. */
const MASKS = ["SEG", "RTSTRUCT"];

export const FORMS = { "dicom-seg": "DICOM SEG", rtstruct: "RTSTRUCT" } as const;

/** Whether a series holds masks, and no image. */
export function holdsMasks(series: PacsSeries): boolean {
  return MASKS.includes(series.modality);
}

export class PacsActions {
  /** Opens the dialog; set by what owns it. */
  show: () => void = () => undefined;

  /** Whether an end was asked for: the file that is on its way comes first. */
  private stopping = false;

  constructor(private readonly actions: Actions) {}

  /** Fetches a series, or what is missing of it, and opens it; masks go onto the open image. False where it is not there. */
  async open(series: PacsSeries): Promise<boolean> {
    const what = `Fetching ${[series.modality, series.number].filter(Boolean).join(" ") || "the series"}`;
    const info = await this.follow(what, () => api.pacsFetch(series));
    if (info?.state !== "done" || info.path === null) return false;
    if (holdsMasks(series)) await this.actions.openSegmentation(info.path);
    else await this.actions.openPath(info.path);
    return true;
  }

  /** Stores all objects of the image in the study that it is from. */
  async store(form: keyof typeof FORMS): Promise<void> {
    const { image } = this.actions.store.get();
    if (!image) return;
    const info = await this.follow(`Storing ${FORMS[form]}`, () => api.pacsStore(image.image, form));
    if (info?.state !== "done") return;
    for (const note of info.notes) toast("info", note);
    toast("done", `Stored in the PACS as ${FORMS[form]}`);
  }

  cancel(): void {
    const { transfer } = this.actions.store.get();
    if (!transfer) return;
    this.stopping = true;
    void api.cancelTransfer(transfer.info.transfer).catch((error: unknown) => this.actions.report(error));
  }

  /** Shows a transfer until it has ended; null where one is under way, or it could not begin. */
  private async follow(what: string, begin: () => Promise<TransferInfo>): Promise<TransferInfo | null> {
    const { store } = this.actions;
    if (store.get().transfer) {
      toast("info", "Files are on their way already: wait, or cancel.");
      return null;
    }
    this.stopping = false;
    try {
      let info = await begin();
      while (info.state === "running") {
        store.set({ transfer: { what: this.stopping ? "Stopping after the file on its way" : what, info } });
        await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
        info = await api.transfer(info.transfer);
      }
      if (info.problem) throw new ApiError(info.problem, 502);
      if (info.state === "stopped") toast("info", "Stopped. What came is kept: the next time it goes on there.");
      return info;
    } catch (error) {
      this.actions.report(error);
      return null;
    } finally {
      store.set({ transfer: null });
    }
  }
}

import { describe, expect, it } from "vitest";
import { countsOf, dayOf, nameOf, rangeOf } from "../src/panels/pacs_words";

describe("words of a PACS", () => {
  it("makes a range of two days, of which either may be missing", () => {
    expect(rangeOf("", "")).toBe("");
    expect(rangeOf("2024-02-01", "2024-02-29")).toBe("20240201-20240229");
    expect(rangeOf("2024-02-01", "")).toBe("20240201-");
    expect(rangeOf("", "2024-02-29")).toBe("-20240229");
    expect(rangeOf("2024-02-29", "2024-02-29")).toBe("20240229");
  });

  it("writes days, names and counts for people", () => {
    expect(dayOf("20240229")).toBe("2024-02-29");
    expect(dayOf("unknown")).toBe("unknown");
    expect(nameOf("Quixote^Dulcinea^^Dr")).toBe("Quixote, Dulcinea Dr");
    expect(nameOf("Yamada^Tarou=山田^太郎")).toBe("Yamada, Tarou");
    expect(nameOf("")).toBe("");
    expect(countsOf(2, 1)).toBe("2 series, 1 file");
    expect(countsOf(null, 40)).toBe("40 files");
  });
});

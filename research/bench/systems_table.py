"""The figures of the systems as a table in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bedside.core.markdown import markdown_table
from research.bench.systems import SLICES, Row
from research.bench.warm import SIDE

HEADINGS = (
    "system", "parameters", "GMAC image", "box", "runtime", "encoder ms", "decoder ms",
    "cold 2D s", "first run", "cold 3D s", "MB 2D", "3D",
)  # fmt: skip


def systems_table(rows: Sequence[Row], machine: Mapping[str, Any], repeat: int) -> str:
    """What was measured, on what, and what could not be."""
    cells = [
        (
            f"`{row.system}`", f"{row.parameters:,}", f"{row.encoder_gmac:.1f}", f"{row.decoder_gmac:.1f}",
            row.setting.replace(":", " "), f"{row.encoder_ms:.0f}", f"{row.decoder_ms:.0f}", f"{row.image_s:.2f}",
            f"{row.first_s:.2f}", f"{row.volume_s:.2f}", f"{row.image_mb:.0f}", f"{row.volume_mb:.0f}",
        )
        for row in rows
        if not row.problem
    ]  # fmt: skip
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items() if version)
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores; {versions}.",
        f"An image and a volume of {SLICES} slices of {SIDE} x {SIDE} pixels with one box each; medians of {repeat}, "
        "the volume once. Random weights, which are as fast as trained ones.",
        "",
        markdown_table(HEADINGS, cells),
    ]
    if problems := list(_problems(rows)):
        lines += ["", "Not measured:", "", *problems]
    return "\n".join(lines) + "\n"


def _problems(rows: Iterable[Row]) -> Iterable[str]:
    for row in rows:
        if row.problem:
            yield f"- `{row.system}`, {row.setting.replace(':', ' ')}: {row.problem}"

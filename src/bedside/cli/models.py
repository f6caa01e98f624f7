"""``bedside models``: the models that Bedside knows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

HEADINGS = ("name", "family", "parameters", "dimensions", "prompts", "licence")


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, with all that is known of each model.")] = False,
) -> None:
    """List the models: family, parameters, dimensions, prompts and licence of the weights."""
    from bedside.weights.models import model_cards

    cards = model_cards()
    if as_json:
        print(json.dumps([card.to_dict() for card in cards], indent=2))
        return
    rows = [
        (
            card.name,
            card.family,
            f"{card.parameters:,}",
            f"{card.dimensions}D",
            " ".join(card.prompt_kinds),
            card.licence,
        )
        for card in cards
    ]
    print("\n".join(table([HEADINGS, *rows], right=(2,))))


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> Iterable[str]:
    """Return rows as lines with aligned columns.

    Args:
        rows: Cells of each row.
        right: Columns whose cells end at one edge, as numbers do.
    """
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()

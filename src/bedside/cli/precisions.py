"""``bedside weights precisions``: what each precision costs and saves on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bedside.core.errors import InputError


def precisions(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Model, as 'bedside models' lists it.")],
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Labelled images, as 'evaluate' takes them.")],
    sets: Annotated[list[str] | None, typer.Option("--set", help="Data set, may be repeated. [default: all]")] = None,
    split: Annotated[str | None, typer.Option("--split", help="Split, where the folder holds several.")] = None,
    objects: Annotated[int, typer.Option("--objects", help="Most objects of a case.")] = 5,
    clicks: Annotated[int, typer.Option("--clicks", help="Corrective clicks per object.")] = 3,
) -> None:
    """Measure accuracy and time of a model in fp32, bf16 and int8, as far as this machine and the weights allow."""
    from rich.console import Console

    from bedside.cli.datasets import one_split
    from bedside.cli.models import table
    from bedside.data.catalogue import select_data_sets
    from bedside.evaluate.cases import ObjectSelection
    from bedside.evaluate.precisions import measure_precisions
    from bedside.evaluate.runner import progress_bar
    from bedside.weights.models import model_card

    card = model_card(name)
    found = select_data_sets(one_split(data, split), sets or [])
    chosen = [s for s in found if card.dimensions == 2 or s.dimensions == 3]
    if not chosen:
        raise InputError("--data", expected=f"data sets in {card.dimensions}D", got="none")
    selection = ObjectSelection(limit=objects, volumes="whole" if card.dimensions == 3 else "slices")
    with progress_bar(Console(stderr=True), 3 * sum(len(s.cases) for s in chosen)) as advance:
        results = measure_precisions(name, chosen, selection, clicks=clicks, advance=advance)
    heads = ("precision", "DSC box", f"DSC +{clicks}", "change", "ms a pass", "ms an answer")
    exact = results[0].dsc
    rows = [
        (
            r.precision,
            f"{r.dsc[0]:.4f}",
            f"{r.dsc[-1]:.4f}",
            f"{r.dsc[-1] - exact[-1]:+.4f}",
            f"{r.milliseconds:.1f}",
            f"{r.answer_milliseconds:.1f}",
        )
        for r in results
    ]
    print("\n".join(table([heads, *rows], right=(1, 2, 3, 4, 5))))

"""``bedside weights record-metrics``: results of an evaluation on the card of the weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bedside.core.errors import WeightsError


def record_metrics(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Model, as 'bedside models' lists it.")],
    results: Annotated[Path, typer.Argument(metavar="FILE", help="What 'bedside evaluate --json' wrote.")],
    weights: Annotated[
        Path | None, typer.Option("--weights", metavar="DIR", help="Folder of the weights. [default: where they are]")
    ] = None,
) -> None:
    """Put results per set, with their intervals, on the card of the weights that were evaluated."""
    from bedside.weights.models import model_card
    from bedside.weights.recording import record_metrics as record
    from bedside.weights.store import WeightsFiles, find_weights

    model_card(name)
    files = find_weights(name) if weights is None else WeightsFiles.in_folder(name, weights)
    if not files.complete:
        raise WeightsError(f"weights of '{name}'", expected=f"a complete set in {weights}", got="files missing")
    card = record(files.card, results)
    card.save(files.card_path)
    print(f"{name}: {', '.join(card.metrics['evaluation'])} on {files.card_path}")

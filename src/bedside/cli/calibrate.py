"""``bedside weights calibrate``: make a model's estimates of its own predictions right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bedside.core.errors import InputError, WeightsError


def calibrate(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Model, as 'bedside models' lists it.")],
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Labelled data sets, none of them kept for val.")],
    sets: Annotated[list[str] | None, typer.Option("--set", help="Data set, may be repeated. [default: all]")] = None,
    objects: Annotated[int, typer.Option("--objects", help="Most objects of a case.")] = 3,
    cases: Annotated[int, typer.Option("--cases", help="Most cases of a set.")] = 10,
    weights: Annotated[
        Path | None, typer.Option("--weights", metavar="DIR", help="Folder of the weights. [default: where they are]")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Measure how far the model's probabilities can be trusted, and write the curve on the card of its weights."""
    from rich.console import Console

    from bedside.data.catalogue import find_data_sets, select_data_sets
    from bedside.evaluate.calibration import calibrate as fit
    from bedside.evaluate.cases import ObjectSelection
    from bedside.evaluate.runner import progress_bar
    from bedside.weights.models import model_card
    from bedside.weights.store import WeightsFiles, find_weights

    card = model_card(name)
    if cases < 1:
        raise InputError("--cases", expected="1 or more", got=cases)
    files = find_weights(name) if weights is None else WeightsFiles.in_folder(name, weights)
    if not files.complete:
        raise WeightsError(f"weights of '{name}'", expected=f"a complete set in {weights}", got="files missing")
    inner = data / "train"
    found = select_data_sets(find_data_sets(inner if inner.is_dir() else data), sets or [])
    chosen = [replace(s, cases=s.cases[:cases]) for s in found if card.dimensions == 2 or s.dimensions == 3]
    if not chosen:
        raise InputError("--data", expected=f"data sets in {card.dimensions}D", got="none")
    selection = ObjectSelection(limit=objects, volumes="whole" if card.dimensions == 3 else "slices")
    total = 2 * sum(len(s.cases) for s in chosen)
    with progress_bar(Console(stderr=True), total) as advance:
        curve, answers = fit(name, files, chosen, device=device, selection=selection, advance=advance)
    replace(files.card, calibration=curve.to_dict()).save(files.card_path)
    print(f"{name}: {answers} answers on {len(chosen)} data sets; the curve is in {files.card_path}")
    for expected, value in zip(curve.expected, curve.found, strict=True):
        print(f"  promised {expected:.3f}  found {value:.3f}")

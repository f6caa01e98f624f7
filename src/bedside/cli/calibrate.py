"""``bedside weights calibrate``: make a model's estimates of its own predictions right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from bedside.core.errors import InputError, WeightsError


def calibrate(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Model, as 'bedside models' lists it.")],
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Labelled data sets, with train and val.")],
    sets: Annotated[list[str] | None, typer.Option("--set", help="Data set, may be repeated. [default: all]")] = None,
    objects: Annotated[int, typer.Option("--objects", help="Most objects of a case.")] = 3,
    cases: Annotated[int, typer.Option("--cases", help="Most cases of a set.")] = 10,
    weights: Annotated[
        Path | None, typer.Option("--weights", metavar="DIR", help="Folder of the weights. [default: where they are]")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    check: Annotated[
        bool, typer.Option("--check", help="Hold the estimates against the truth, and write nothing.")
    ] = False,
    split: Annotated[str, typer.Option("--split", help="With --check: train or val.")] = "train",
) -> None:
    """Measure how far the model's probabilities can be trusted, and write the curves on the card of its weights."""
    from rich.console import Console

    from bedside.data.catalogue import find_data_sets, select_data_sets
    from bedside.evaluate.calibration import STARTS, check_calibration
    from bedside.evaluate.calibration import calibrate as fit
    from bedside.evaluate.cases import ObjectSelection
    from bedside.evaluate.runner import progress_bar
    from bedside.evaluate.starts import start_title
    from bedside.weights.models import model_card
    from bedside.weights.store import WeightsFiles, find_weights

    card = model_card(name)
    for option, number in (("--cases", cases), ("--objects", objects)):
        if number < 1:
            raise InputError(option, expected="1 or more", got=number)
    files = find_weights(name) if weights is None else WeightsFiles.in_folder(name, weights)
    if not files.complete:
        raise WeightsError(f"weights of '{name}'", expected=f"a complete set in {weights}", got="files missing")
    if split not in ("train", "val") or (split == "val" and not check):
        raise InputError("--split", expected="train, or with --check train or val", got=f"'{split}'")
    if check and not files.card.calibration:
        raise InputError(f"card of '{name}'", expected="a curve to check", got="none", fix="run without --check first")
    inner = data / split
    found = select_data_sets(find_data_sets(inner if inner.is_dir() else data), sets or [])
    chosen = [replace(s, cases=s.cases[:cases]) for s in found if card.dimensions == 2 or s.dimensions == 3]
    if not chosen:
        raise InputError("--data", expected=f"data sets in {card.dimensions}D", got="none")
    selection = ObjectSelection(limit=objects, volumes="whole" if card.dimensions == 3 else "slices")
    total = len(STARTS) * sum(len(s.cases) for s in chosen)
    if check:
        with progress_bar(Console(stderr=True), total) as advance:
            rows = check_calibration(name, files, chosen, device=device, selection=selection, advance=advance)
        print("| first prompt | then | predictions | told | found | calibration error |")
        print("|---|---|---|---|---|---|")
        for row in rows:
            what = f"{row.user} clicks" if row.user else "nothing"
            if row.predictions:
                numbers = f"{row.predictions} | {row.told:.3f} | {row.found:.3f} | {row.error:.3f}"
                print(f"| {start_title(row.start)} | {what} | {numbers} |")
        return
    with progress_bar(Console(stderr=True), total) as advance:
        curve, answers = fit(name, files, chosen, device=device, selection=selection, advance=advance)
    replace(files.card, calibration=curve.to_dict()).save(files.card_path)
    print(f"{name}: {answers} predictions on {len(chosen)} data sets; the curves are in {files.card_path}")
    for kind, part in (("all", curve), *curve.kinds.items()):
        print(f"{kind}:")
        for expected, value in zip(part.expected, part.found, strict=True):
            print(f"  promised {expected:.3f}  found {value:.3f}")

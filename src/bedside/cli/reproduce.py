"""``bedside reproduce``: do a training again from its manifest, and say whether the same came out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def reproduce(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run, or its manifest.json.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the new run.")],
    data: Annotated[
        Path | None, typer.Option("--data", help="The run's data or packed store, where its folder holds none.")
    ] = None,
    initial: Annotated[
        str | None, typer.Option(metavar="WEIGHTS", help="Starting weights of the run, where it had any.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda; equal bits need a CPU.")] = "cpu",
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="Threads on the CPU; by default those of the run.")
    ] = None,
    spread: Annotated[
        float | None, typer.Option(metavar="DSC", help="Difference that counts as the same; by default the recipe's.")
    ] = None,
) -> int:
    """Train again with the same settings, seed and data; exit with 1 where the result is not the same.

    Tensors are compared bit for bit, and held-out DSC within the spread that the recipe states.
    """
    from bedside.cli.train import training_module, training_progress

    train_again = training_module("reproduce").reproduce
    with training_progress() as (report, advance):
        result = train_again(
            run,
            out,
            data=data,
            initial=initial,
            device=device,
            threads=threads,
            spread=spread,
            report=report,
            advance=advance,
        )
    print("\n".join(result.lines()))
    return 0 if result.within else 1

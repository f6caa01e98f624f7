"""``python -m research campaign``: a recipe in several variants under an equal budget, judged on held-out sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bedside.cli.train import training_progress
from bedside.core.files import write_text_atomically


def campaign(
    name: Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Name of a campaign, as bedside-2d, or a YAML file.")],
    data: Annotated[
        Path, typer.Option("--data", help="Folder of data sets, of which only 'train' is used, or a packed store.")
    ],
    out: Annotated[
        Path, typer.Option("--out", help="Folder of the campaign; variants that are done are not repeated.")
    ],
    minutes: Annotated[
        float | None, typer.Option(metavar="M", help="Minutes of training for each variant; needs an idle machine.")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(metavar="N", help="In place of minutes: samples that each variant sees.")
    ] = None,
    variant: Annotated[
        list[str], typer.Option("--variant", metavar="NAME", help="Run this variant alone. Repeatable.")
    ] = [],  # noqa: B006
    table: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table of results there, too.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[int | None, typer.Option(metavar="N", help="Threads on the CPU.")] = None,
) -> None:
    """Train the variants of a campaign on the same budget, and print what each came to on the held-out sets."""
    from research import campaign as module
    from research.budget import Budget

    budget = Budget(minutes, samples)
    with training_progress() as (report, _):
        text = module.run_campaign(name, data, out, budget, only=variant, device=device, threads=threads, report=report)
    print(text, end="")
    if table is not None:
        write_text_atomically(table, text)

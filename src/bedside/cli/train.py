"""``bedside train``: train a model by a recipe, or go on with a training that was stopped."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from bedside.core.errors import DependencyError

Report = Callable[[str], None]
Advance = Callable[[int, int], None]


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a recipe, as bedside-2d, or a YAML file.")],
    data: Annotated[
        str,
        typer.Option(
            "--data", metavar="PATH", help="Folder of data sets, of which only 'train' is used; or a store, s3:// too."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; one that was stopped goes on from there.")],
    steps: Annotated[int | None, typer.Option(metavar="N", help="Steps, instead of the recipe's.")] = None,
    minutes: Annotated[float | None, typer.Option(metavar="M", help="Stop with a checkpoint after this time.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    memory: Annotated[
        float | None,
        typer.Option(metavar="GB", help="Memory a step may take in a process; what does not fit is split."),
    ] = None,
    threads: Annotated[int | None, typer.Option(metavar="N", help="Threads on the CPU.")] = None,
    initial: Annotated[
        str | None,
        typer.Option(
            metavar="WEIGHTS",
            help="Starting weights instead of the recipe's: none, bundled, a name, a file or a published folder.",
        ),
    ] = None,
    restart: Annotated[
        bool, typer.Option("--restart", help="Begin again; removes the checkpoint and the log in the folder.")
    ] = False,
    setting: Annotated[
        list[str],
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of the recipe, as sampling.grid=256. Repeatable."),
    ] = [],  # noqa: B006
) -> None:
    """Train a model by a recipe. The checkpoint goes on exactly where the run was stopped, by Ctrl+C or --minutes.

    "torchrun --standalone --nproc-per-node N -m bedside" in place of "bedside" trains in N processes.
    """
    run = training_module("run")
    overrides = run.parse_overrides(setting)
    if steps is not None:
        overrides["steps"] = steps
    with training_progress() as (report, advance):
        run.run_training(
            recipe,
            data,
            out,
            overrides=overrides,
            device=device,
            minutes=minutes,
            memory_gb=memory,
            threads=threads,
            initial=initial,
            restart=restart,
            report=report,
            advance=advance,
        )


def training_module(name: str) -> Any:
    """Return ``bedside.train.<name>``, which only an installation with the extra for training can import.

    Raises:
        DependencyError: torch is not installed.
    """
    try:
        return importlib.import_module(f"bedside.train.{name}")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise DependencyError("training needs torch", fix="install it with: pip install 'bedside[train]'") from error


@contextmanager
def training_progress() -> Iterator[tuple[Report, Advance]]:
    """Yield where lines of the log and steps go: plain lines, and below them a bar if stdout is a terminal."""
    if not sys.stdout.isatty():
        # Flushed, because a log file is read while the run goes on.
        yield lambda line: print(line, flush=True), lambda _step, _steps: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(highlight=False)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("training", visible=False)

        def advance(step: int, steps: int) -> None:
            progress.update(task, completed=step, total=steps, visible=True)

        yield lambda line: console.print(line, markup=False, soft_wrap=True), advance

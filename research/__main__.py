"""The command line of research: ``python -m research campaign`` and ``python -m research bench systems``."""

from __future__ import annotations

import sys

import typer

from bedside.cli.app import invoke
from bedside.cli.main import execute
from research.bench.command import bench
from research.command import campaign

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
app.command()(campaign)
app.add_typer(bench)


@app.callback()
def about() -> None:
    """Compare variants of recipes, and measure systems; beside the package, for those who develop models."""


def run(arguments: list[str]) -> int:
    """Run a command line as ``bedside`` does: one line and exit status 2 for bad input."""
    return execute(arguments, lambda given: invoke(given, app, "research"))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))

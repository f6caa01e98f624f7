"""``bedside info``: this machine, the runtimes, models and formats."""

from __future__ import annotations

from typing import Annotated

import typer

from bedside.cli.inventory import print_inventory


def info(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show this machine, the runtimes, models and formats."""
    print_inventory(as_json)

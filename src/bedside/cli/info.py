"""``bedside info``: this machine, the runtimes, models and formats; or what there is to read at a path."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def info(
    path: Annotated[
        Path | None, typer.Argument(metavar="[PATH]", help="A file or folder, whose images are listed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show this machine, the runtimes, models and formats; with PATH the series and volumes that can be read there."""
    if path is None:
        from bedside.cli.inventory import print_inventory

        print_inventory(as_json)
        return
    from bedside.io.contents import Content, contents

    def line(item: Content) -> str:
        number = "" if item.volume is None else f"--volume {item.volume}: "
        why = f" [{item.problem}]" if item.problem else ""
        return f"  {number}{item.title}{' (read by default)' if item.main and number else ''}{why}"

    found = contents(path)
    if as_json:
        print(json.dumps([asdict(item) for item in found], indent=2))
        return
    before: str | None = None
    for item in found:
        if item.series_title and item.series_title != before:
            print(f"Series {item.series_title}")
        before = item.series_title
        print(line(item))

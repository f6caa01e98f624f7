"""``python -m research bench``: how large, fast and hungry models are on this machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bedside.core.errors import InputError

bench = typer.Typer(name="bench", add_completion=False, rich_markup_mode=None, no_args_is_help=True)
SECTION = "systems"
"""Name of the section of a page that ``--write`` replaces."""


@bench.callback()
def about() -> None:
    """Measure models on this machine."""


@bench.command()
def systems(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder of the figures; what is in it is not measured again.")
    ],
    system: Annotated[list[str], typer.Option("--system", metavar="NAME", help="Repeatable. [default: all]")] = [],  # noqa: B006
    setting: Annotated[
        list[str],
        typer.Option("--setting", metavar="RUNTIME:PRECISION", help="As openvino:bf16. Repeatable. [default: all]"),
    ] = [],  # noqa: B006
    repeat: Annotated[int, typer.Option("--repeat", metavar="N", help="Measurements of which the median counts.")] = 3,
    write: Annotated[
        Path | None, typer.Option("--write", metavar="PAGE", help="Put the table into a page, between its markers.")
    ] = None,
) -> None:
    """Measure the systems of the laptop challenge: work, time warm and cold, and memory, with random weights.

    Writes systems.json and systems.md into the folder, of all that it holds. Needs torch, and nncf for int8.
    """
    from bedside.cli.host import host, versions
    from bedside.core.files import write_text_atomically
    from bedside.core.markdown import replace_section
    from research.bench.systems import (
        SETTINGS,
        check_settings,
        measure_systems,
        read_row,
        row_path,
        system_names,
    )
    from research.bench.systems_table import systems_table

    names = system_names(system)
    check_settings(setting)
    for path, kind in ((out, "a folder"), (write, "a page")):
        if path is not None and path.exists() and path.is_dir() != (kind == "a folder"):
            raise InputError(f"{path}", expected=kind, got="something else")
    if write is not None:
        # Rejected now and not after the work.
        replace_section(write, SECTION, None)
    machine = {**host(), "versions": versions(), "repeat": repeat}
    measure_systems(
        names, setting or SETTINGS, out, machine, repeat=repeat, report=lambda line: print(line, flush=True)
    )
    known = [read_row(row_path(out, name, s), machine) for name in system_names([]) for s in SETTINGS]
    rows = [row for row in known if row is not None]
    table = systems_table(rows, machine, repeat)
    content = {"machine": machine, "rows": [asdict(row) for row in rows]}
    write_text_atomically(out / "systems.json", json.dumps(content, indent=1) + "\n")
    write_text_atomically(out / "systems.md", table)
    if write is not None:
        replace_section(write, SECTION, table)
    print(table)

"""The reference of the command line, written from the commands themselves when the site is built."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

INTRODUCTION = """# Commands

Every command and option, as `--help` prints them. Bad input gives one line on stderr and exit status 2; an older output
file then stays as it was. An interrupted command exits with 130.
"""


def commands_page() -> str:
    """Write the page in Markdown: one section a command, with its arguments and options as tables."""
    import typer

    from bedside.cli.app import app

    command: Any = typer.main.get_command(app)
    context = command.make_context("bedside", [], resilient_parsing=True)
    return "\n".join([INTRODUCTION, *_sections(command, context, 2)])


def _sections(group: Any, context: Any, level: int) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = command.context_class(command, parent=context, info_name=name)
        yield from _section(command, inner, level)
        if hasattr(command, "list_commands"):
            yield from _sections(command, inner, level + 1)


def _section(command: Any, context: Any, level: int) -> Iterator[str]:
    yield f"{'#' * level} {context.command_path}\n"
    yield f"```text\n{command.get_usage(context)}\n```\n"
    yield from (f"{paragraph}\n" for paragraph in _paragraphs(command.help or ""))
    rows = [parameter.get_help_record(context) for parameter in command.get_params(context)]
    rows = [row for row in rows if row and row[0] != "--help"]
    if rows:
        yield "| argument or option | meaning |\n|---|---|"
        yield from (f"| {_code(name)} | {_cell(meaning)} |" for name, meaning in rows)
        yield ""


def _paragraphs(text: str) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text.strip()) if paragraph.strip()]


def _code(text: str) -> str:
    plain = " ".join(text.split())
    # A cell of a table would end at a bar, and a bar in code cannot be escaped.
    return f"<code>{html.escape(plain).replace('|', '&#124;')}</code>" if "|" in plain else f"`{plain}`"


def _cell(text: str) -> str:
    """A text of the help as a cell of Markdown that says the same."""
    plain = html.escape(" ".join(text.split()), quote=False)
    return re.sub(r"([\\`*_|\[\]])", r"\\\1", plain)


if __name__ == "__main__":
    print(commands_page())

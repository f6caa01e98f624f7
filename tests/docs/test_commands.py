"""The reference of commands says what ``--help`` says."""

from __future__ import annotations

import html
import re

import typer

from bedside.cli.app import VERBS, app
from docs_tools.commands import commands_page


def test_every_command_has_its_section() -> None:
    page = commands_page()
    headings = re.findall(r"^(#+) bedside (.+)$", page, re.MULTILINE)
    assert [name for level, name in headings if level == "##"] == list(VERBS)
    assert ("###", "weights import") in headings
    assert ("###", "prepare box2024") in headings


def test_every_option_of_a_command_is_in_its_table() -> None:
    section = commands_page().split("\n## bedside evaluate\n")[1].split("\n## ")[0]
    command = typer.main.get_command(app).get_command(None, "evaluate")  # type: ignore[attr-defined]
    names = {name for parameter in command.params for name in parameter.opts if name.startswith("--")}
    assert len(names) > 20
    assert {name for name in names if name not in section} == set()
    assert "--help" not in section


def test_signs_of_markdown_are_text() -> None:
    rows = [line for line in commands_page().splitlines() if line.startswith("| `--port N`")]
    assert rows
    for row in rows:
        assert "0&lt;=x&lt;=65535\\]" in row
        assert "0<=x<=65535]" in html.unescape(row.replace("\\", ""))

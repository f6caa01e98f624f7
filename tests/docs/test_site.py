"""The documentation site: it is built without a warning, is complete, and needs nothing from elsewhere."""

from __future__ import annotations

import html
import inspect
import re
from pathlib import Path

import pytest

import bedside
from bedside.cli.app import VERBS
from docs_tools.links import ROOT

pytestmark = pytest.mark.slow
FETCHED = re.compile(
    r"<(?:script|img|iframe|source|video|audio)\b[^>]*\bsrc=\"(?!data:)([^\"]*)\"|<link\b[^>]*\bhref=\"([^\"]*)\""
)
"""Addresses that a browser asks for by itself."""


def test_every_page_is_there(site: Path) -> None:
    written = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    written |= {Path(name) for name in ("index.html", "contributing.html", "changelog.html", "reference/commands.html")}
    assert {page for page in written if not (site / page).is_file()} == set()


def test_nothing_is_asked_for_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        asked = [html.unescape(source or link) for source, link in FETCHED.findall(text)]
        assert asked
        assert not [address for address in asked if re.match(r"(?:[a-z]+:)?//", address)], page
        # The theme would fetch a script to draw these.
        assert 'class="mermaid"' not in text, page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?https?:|@import", sheet.read_text(encoding="utf-8")), sheet


def test_what_pages_ask_for_is_there(site: Path) -> None:
    for page in site.rglob("*.html"):
        if page.name == "404.html":
            continue
        for source, link in FETCHED.findall(page.read_text(encoding="utf-8")):
            target = html.unescape(source or link).partition("?")[0].partition("#")[0]
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_search_works_from_a_disk(site: Path) -> None:
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    assert index.startswith("var __index = {")
    assert "assets/local-search.js" in (site / "index.html").read_text(encoding="utf-8")


def first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "?").splitlines()[0]


def test_the_reference_holds_all_public_names(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    public = set(bedside.__all__) - {"__version__"}
    assert {name for name in public if f'id="bedside.{name}"' not in page} == set()
    assert first_line(bedside.Session) in html.unescape(page), "docstrings, and not names alone"


def test_the_reference_holds_all_commands_and_their_options(site: Path) -> None:
    page = html.unescape((site / "reference" / "commands.html").read_text(encoding="utf-8"))
    assert {verb for verb in VERBS if f'id="bedside-{verb}"' not in page} == set()
    for shown in (
        'id="bedside-weights-import"',
        "--negative-point X,Y[,Z]",
        "[default: 127.0.0.1]",
        "[0<=x<=65535]",
        "<index|world>",
    ):
        assert shown in page


def test_links_out_of_the_folder_lead_to_copies(site: Path) -> None:
    for card in ("bedside-2d.json", "bedside-3d.json"):
        path = f"src/bedside/weights/bundled/{card}"
        assert (site / "repository" / path).read_bytes() == (ROOT / path).read_bytes()
    assert "Apache License" in (site / "repository" / "LICENSE.html").read_text(encoding="utf-8")

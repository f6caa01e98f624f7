"""The site in a real browser, opened from the disk: it searches, and asks for nothing elsewhere."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow
PATIENCE_MS = 120_000
PHONE = {"width": 390, "height": 800}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        pytest.skip("there is no Chromium; on Debian and Ubuntu install the package chromium")
    with playwright.sync_playwright() as api:
        running = api.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-background-networking"])
        yield running
        running.close()


def test_the_search_finds_and_nothing_is_asked_for_elsewhere(browser: Any, site: Path) -> None:
    from playwright.sync_api import expect

    tab = browser.new_page()
    asked: list[str] = []
    wrong: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.goto((site / "index.html").as_uri())
    # Typed key by key: the theme looks for a released key, which text that is filled in at once does not have.
    tab.get_by_placeholder("Search").press_sequentially("overlap policy")
    # Each key has results of its own; waited for is the first result of the whole text.
    first = tab.locator(".md-search-result__item a").first
    expect(first).to_have_attribute("href", re.compile(r"glossary\.html"), timeout=PATIENCE_MS)
    assert not [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
    assert not wrong
    tab.close()


@pytest.mark.parametrize(
    "page", ["index.html", "results.html", "glossary.html", "architecture.html", "reference/python.html"]
)
def test_no_page_is_wider_than_a_phone(browser: Any, site: Path, page: str) -> None:
    tab = browser.new_page(viewport=PHONE)
    tab.goto((site / page).as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    tab.close()

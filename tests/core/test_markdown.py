from __future__ import annotations

from pathlib import Path

import pytest

from bedside.core.errors import InputError
from bedside.core.markdown import markdown_table, read_section, read_tables, replace_section

PAGE = """# Page
before
<!-- speed: written by a command -->
old
<!-- end of speed -->
after
"""


def test_a_table_has_a_line_below_its_headings() -> None:
    assert markdown_table(("a", "b"), [("1", "2"), ("3", "")]) == "| a | b |\n|---|---|\n| 1 | 2 |\n| 3 |  |"


def test_tables_are_read_as_they_were_written() -> None:
    first, second = (["a", "b"], [["1", ""], ["3", "x y"]]), (["c"], [])
    text = f"before\n\n{markdown_table(*first)}\n\nbetween\n\n{markdown_table(*second)}\nafter\n"
    assert read_tables(text) == [first, second]


def test_a_section_is_read(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    assert read_section(page, "speed") == "old"


def test_a_section_is_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    replace_section(page, "speed", None)
    assert page.read_text() == PAGE
    for text in ("first\n", "second"):
        replace_section(page, "speed", text)
        assert page.read_text() == PAGE.replace("old\n", f"\n{text.strip()}\n\n")


@pytest.mark.parametrize(
    "content", ["", "<!-- speed: x -->", "<!-- end of speed -->\n<!-- speed: x -->\n", PAGE + PAGE, PAGE[:-20]]
)
def test_a_page_without_the_section_is_rejected_and_left(tmp_path: Path, content: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(content)
    with pytest.raises(InputError, match=r"expected the lines '<!-- speed: \.\.\. -->'"):
        replace_section(page, "speed", "new")
    assert page.read_text() == content


def test_a_missing_page_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        replace_section(tmp_path / "none.md", "speed", "new")

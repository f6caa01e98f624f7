"""Tables in Markdown, and pages in which a command keeps a section of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bedside.core.errors import InputError
from bedside.core.files import write_text_atomically


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with as many cells a row as there are headings, without a line break at its end."""
    lines = [f"| {' | '.join(cells)} |" for cells in (headings, *rows)]
    lines.insert(1, f"|{'---|' * len(headings)}")
    return "\n".join(lines)


def read_tables(text: str) -> list[tuple[list[str], list[list[str]]]]:
    """Return the tables in a text, each as its headings and its rows: what ``markdown_table`` made of them."""
    tables: list[tuple[list[str], list[list[str]]]] = []
    before = ""
    for line in text.splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]
            if not before.startswith("|"):
                tables.append((cells, []))
            elif set(line) != set("|-"):
                tables[-1][1].append(cells)
        before = line
    return tables


def read_section(page: Path, name: str) -> str:
    """Return what stands between a page's markers, see ``replace_section``, without blank lines around it.

    Raises:
        InputError: As there.
    """
    content, first, last = _find_section(page, name)
    return content[first:last].strip()


def replace_section(page: Path, name: str, text: str | None) -> None:
    """Put ``text`` between a page's markers ``<!-- name: ... -->`` and ``<!-- end of name -->``, for what is there.

    Args:
        page: In Markdown.
        name: Name of the section.
        text: None only makes sure that the section is there.

    Raises:
        InputError: There is no such page, or it does not have both markers once and in order.
    """
    content, first, last = _find_section(page, name)
    if text is not None:
        write_text_atomically(page, f"{content[:first]}\n{text.strip()}\n\n{content[last:]}")


def _find_section(page: Path, name: str) -> tuple[str, int, int]:
    """Return a page's content, and where the text between its markers begins and ends."""
    if not page.is_file():
        raise InputError(f"{page}", expected="a page in Markdown", got="no such file")
    content = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}:", f"<!-- end of {name} -->"
    first = content.find("\n", content.find(begin)) + 1
    last = content.find(end)
    if content.count(begin) != 1 or content.count(end) != 1 or not 0 < first <= last:
        raise InputError(f"{page}", expected=f"the lines '{begin} ... -->' and '{end}', each once", got="others")
    return content, first, last

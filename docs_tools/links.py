"""Relative links of the Markdown pages: which there are, whether they lead anywhere, and how the site puts them.

Pages are written so that their links work where one reads them in the repository. The site holds the folder ``docs``,
and beside it the few pages of the root and whatever else of the repository a page links to.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parents[1]
ROOT_PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages at the root of the repository that the site holds too, with their names there."""
COPIES = "repository"
"""Folder of the site for other files of the repository that pages link to."""
GENERATED = frozenset({"reference/commands.md", "reference/rest.md"})
"""Pages that are made when the site is built, and that no folder holds."""

_FENCE = re.compile(r"^([ \t]*)(```+|~~~+)[^\n]*\n.*?^\1\2[ \t]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
# From the end of the words on: a picture may stand in the place of them, with a link of its own.
_LINK = re.compile(r"(\]\()([^)\s]+)((?:\s+\"[^\"]*\")?\))")
_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
_OWN_ANCHOR = re.compile(r"\{[^}]*#([\w-]+)[^}]*\}[ \t]*$")
_ELSEWHERE = re.compile(r"^(?:[a-z][a-z0-9+.-]*:|//)", re.IGNORECASE)


@dataclass(frozen=True)
class Link:
    """One link of a page.

    Attributes:
        page: File that holds it, from the root of the repository.
        target: As it is written.
        line: From 1.
    """

    page: str
    target: str
    line: int


def pages(root: Path = ROOT) -> list[str]:
    """List the Markdown pages of the repository, from its root: those of the root and all in ``docs``."""
    found = [*root.glob("*.md"), *(root / "docs").rglob("*.md")]
    return sorted(path.relative_to(root).as_posix() for path in found)


def prose(text: str) -> str:
    """Blank out code and comments, and keep every other character in its place."""
    for pattern in (_FENCE, _COMMENT, _CODE):
        text = pattern.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
    return text


def links_in(page: str, text: str) -> Iterator[Link]:
    """Find the links of a page that stay within the repository."""
    for match in _LINK.finditer(prose(text)):
        if not _ELSEWHERE.match(match[2]):
            yield Link(page, match[2], text.count("\n", 0, match.start()) + 1)


def anchors_in(text: str) -> frozenset[str]:
    """Name the anchors of a page: of each heading its words, lower case, joined by hyphens."""
    found: dict[str, int] = {}
    without_code = _COMMENT.sub("", _FENCE.sub("", text))
    for match in _HEADING.finditer(without_code):
        own = _OWN_ANCHOR.search(match[1])
        anchor = own[1] if own else slug(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[1]))
        number = found.get(anchor, 0)
        found[anchor] = number + 1
        if number:
            found[f"{anchor}-{number}"] = 1
    return frozenset(found)


def slug(heading: str) -> str:
    """Turn a heading into its anchor."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def broken(link: Link, root: Path = ROOT) -> str | None:
    """Return why a link leads nowhere; None where it leads somewhere."""
    path, _, anchor = link.target.partition("#")
    target = posixpath.normpath(posixpath.join(posixpath.dirname(link.page), unquote(path))) if path else link.page
    if target.removeprefix("docs/") in GENERATED:
        return None
    if target.startswith("..") or not (root / target).exists():
        return f"{link.page}:{link.line}: {link.target}: there is no {target}"
    if anchor and target.endswith(".md") and anchor not in _anchors_of(root / target):
        return f"{link.page}:{link.line}: {link.target}: {target} has no heading of that name"
    return None


@cache
def _anchors_of(path: Path) -> frozenset[str]:
    return anchors_in(path.read_text(encoding="utf-8"))


def for_site(text: str, page: str, copies: Mapping[str, str]) -> str:
    """Rewrite the links of a page to where the site has what they lead to.

    Args:
        text: Of the page.
        page: Its file, from the root of the repository.
        copies: Addresses in the site of files of the repository that the folder ``docs`` does not hold.
    """
    here = site_address(page)

    def rewrite(match: re.Match[str]) -> str:
        path, hash_, anchor = match[2].partition("#")
        if _ELSEWHERE.match(match[2]) or not path:
            return match[0]
        target = posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(path)))
        there = copies.get(target) or site_address(target)
        return f"{match[1]}{posixpath.relpath(there, posixpath.dirname(here) or '.')}{hash_}{anchor}{match[3]}"

    plain = prose(text)
    # What is no prose is left as it is: a link in an example is part of the example.
    parts, end = [], 0
    for match in _LINK.finditer(plain):
        found = _LINK.match(text, match.start())
        if found is not None:
            parts += [text[end : match.start()], rewrite(found)]
            end = found.end()
    return "".join([*parts, text[end:]])


def site_address(path: str) -> str:
    """Return where the site has a file that is a page or lies in ``docs``; other files keep their path."""
    return ROOT_PAGES.get(path) or path.removeprefix("docs/")


def wanted_copies(root: Path = ROOT) -> dict[str, str]:
    """Find the files that pages link to and that the site has to take from elsewhere in the repository.

    Returns:
        By their path from the root, where they lie in the site: JSON as it is, other text as a page.
    """
    wanted = {}
    for page in pages(root):
        for link in links_in(page, (root / page).read_text(encoding="utf-8")):
            path = link.target.partition("#")[0]
            target = posixpath.normpath(posixpath.join(posixpath.dirname(page), unquote(path)))
            if not path or target.startswith(("docs/", "..")) or target in ROOT_PAGES or not (root / target).is_file():
                continue
            as_is = target.endswith((".json", ".png"))
            wanted[target] = f"{COPIES}/{target}" + ("" if as_is else ".md")
    return wanted

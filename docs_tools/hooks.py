"""Hooks of MkDocs: pages of the repository's root, generated pages, diagrams, and a search that works from a disk."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from docs_tools import links
from docs_tools.commands import commands_page
from docs_tools.drawing import draw
from docs_tools.rest import rest_page

_DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".sh": "bash"}


def on_files(files: Files, config: Any) -> Files:
    """Add what the folder ``docs`` does not hold."""
    for source, address in links.ROOT_PAGES.items():
        files.append(File.generated(config, address, content=_read(source)))
    files.append(File.generated(config, "reference/commands.md", content=commands_page()))
    files.append(File.generated(config, "reference/rest.md", content=rest_page()))
    for source, address in links.wanted_copies().items():
        if address.endswith(".md"):
            files.append(File.generated(config, address, content=_as_page(source)))
        else:
            files.append(File.generated(config, address, abs_src_path=str(links.ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Put links to where the site has their targets, and draw diagrams."""
    del config, files
    address = page.file.src_uri
    roots = {name: source for source, name in links.ROOT_PAGES.items()}
    if not address.startswith(f"{links.COPIES}/"):
        markdown = links.for_site(markdown, roots.get(address, f"docs/{address}"), links.wanted_copies())
    return _DIAGRAM.sub(lambda match: draw(match[1], "Diagram: an arrow leads to what is used"), markdown)


def on_post_build(config: Any) -> None:
    """Write the index of the search as a script too: a page that was opened from a disk may not fetch a file."""
    folder = Path(config.site_dir) / "search"
    index = (folder / "search_index.json").read_text(encoding="utf-8")
    (folder / "search_index.js").write_text(f"var __index = {index};\n", encoding="utf-8")


def _read(path: str) -> str:
    return (links.ROOT / path).read_text(encoding="utf-8")


def _as_page(path: str) -> str:
    """A text file as a page that shows it."""
    text = _read(path).rstrip("\n")
    language = _LANGUAGES.get(Path(path).suffix, "text")
    return f"---\nsearch:\n  exclude: true\n---\n# {Path(path).name}\n\n`{path}`\n\n````{language}\n{text}\n````\n"

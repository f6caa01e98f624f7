"""The licence of each package that Bedside names, as a table in ``docs/dependencies.md``.

    python -m research.licences --write docs/dependencies.md

What is installed says its own licence; what is not is listed as such. A test holds the table against pyproject.toml.
"""

from __future__ import annotations

import argparse
import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

from bedside.core.markdown import replace_section

ROOT = Path(__file__).parents[1]
SECTION = "licences"
OURS = "bedside"


def named_packages(project: Path) -> dict[str, list[str]]:
    """Read which packages a project names: each with the extras that it is of, "base" for none."""
    content: dict[str, Any] = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    groups = {"base": content["dependencies"], **content["optional-dependencies"]}
    found: dict[str, list[str]] = {}
    for group, requirements in groups.items():
        for requirement in requirements:
            name = re.split(r"[\[<>=!~; ]", requirement)[0]
            if name != OURS:
                found.setdefault(name, []).append(group)
    return dict(sorted(found.items(), key=lambda entry: entry[0].lower()))


def licence_of(package: str) -> str:
    """Return what an installed package's metadata states as its licence, as an SPDX identifier where it has one."""
    try:
        described: Any = metadata.metadata(package)
    except metadata.PackageNotFoundError:
        return "not installed here"
    expression = described.get("License-Expression")
    if expression:
        return str(expression)
    classifiers = [c.rsplit(" :: ", 1)[1] for c in described.get_all("Classifier") or [] if c.startswith("License ::")]
    stated = (described.get("License") or "").strip().splitlines()
    return ", ".join(classifiers) or (stated[0][:60] if stated else "not stated")


def table(project: Path) -> str:
    """Return the table in Markdown, one row a package."""
    lines = ["| package | for | licence as its metadata states it |", "|---|---|---|"]
    for name, groups in named_packages(project).items():
        lines.append(f"| {name} | {', '.join(groups)} | {licence_of(name)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print the table, or write it into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table between the page's markers")
    options = parser.parse_args()
    made = table(ROOT / "pyproject.toml")
    if options.write:
        replace_section(options.write, SECTION, made)
    print(made, end="")


if __name__ == "__main__":
    main()

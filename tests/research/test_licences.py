from __future__ import annotations

import re
from pathlib import Path

from research.licences import licence_of, named_packages

ROOT = Path(__file__).parents[2]


def test_the_page_lists_each_package_that_the_project_names() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([\w.-]+) \| ([\w, -]+) \|", page, re.MULTILINE))
    rows.pop("package")
    assert rows == {name: ", ".join(groups) for name, groups in named_packages(ROOT / "pyproject.toml").items()}


def test_a_licence_is_what_the_metadata_states(tmp_path: Path) -> None:
    assert licence_of("fastapi") == "MIT"
    assert licence_of("a-package-that-nobody-has") == "not installed here"
    del tmp_path

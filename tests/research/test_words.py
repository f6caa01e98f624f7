from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from research.words import find_banned, main

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("it is rejected", []),
        ("It refuses\nand refused", ["refuses", "refused"]),
        ("bounding boxes", ["bounding boxes"]),
    ],
)
def test_banned_words_are_found(text: str, words: list[str]) -> None:
    assert [word for _, word, _ in find_banned(text)] == words


def test_no_file_of_the_repository_holds_one() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = [n for n in listed.stdout.split() if n.endswith((".py", ".md", ".ts", ".html")) and (ROOT / n).is_file()]
    assert names
    assert main([str(ROOT / name) for name in names]) == 0

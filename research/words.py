"""Words that the glossary replaces, found in files that are about to be committed.

    python -m research.words FILE...

Exit status 1 where one of them stands; the glossary (``docs/glossary.md``) says which word is used instead.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

BANNED = {
    r"\brefus(e|es|ed|ing|als?)\b": "reject",
    r"\b(lent|whereof|therein|anew|to be had)\b": "a plain word",
    r"\bbounding boxes?\b": "box",
}
"""Each pattern with the word that is used instead."""
ALLOWED = ("docs/glossary.md", "research/words.py", "CHANGELOG.md", "tests/research/test_words.py")
"""Files that name such words, or quote what was written before."""


def find_banned(text: str) -> list[tuple[int, str, str]]:
    """Return line number, word and what is used instead, for each banned word in a text."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        for pattern, instead in BANNED.items():
            found += [(number, match.group(0), instead) for match in re.finditer(pattern, line, re.IGNORECASE)]
    return found


def main(arguments: Sequence[str]) -> int:
    """Print every banned word of some files; 1 where there is one."""
    status = 0
    for name in arguments:
        if name.endswith(ALLOWED):
            continue
        for number, word, instead in find_banned(Path(name).read_text(encoding="utf-8", errors="replace")):
            print(f"{name}:{number}: '{word}': write {instead}")
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

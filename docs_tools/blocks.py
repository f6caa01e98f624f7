"""Runs the examples of a page: every block of bash and Python, in the order in which they stand, in one folder.

What a block is says its first line, and a comment above it may say more:

| block | what is done |
|---|---|
| ``bash`` | run in the folder; it fails where one of its commands fails |
| ``python`` | run; the blocks of a page share their names, as in a session |
| any with ``title="FILE"`` | written to that file in the folder |
| ``text`` below a block with ``<!-- prints -->`` | compared with what that block printed; ``...`` stands for anything |
| ``<!-- server -->`` above ``bash`` | started, asked for its page, and stopped by Ctrl+C |
| ``<!-- installs -->`` above ``bash`` | the package of the folder is found as if it had been installed |
| ``<!-- slow: REASON -->`` | run with the slow tests, as is all of its page |
| ``<!-- not run: REASON -->`` | left out |
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import signal
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHOWN = frozenset({"text", "json", "yaml", "toml", "mermaid"})
"""Languages that are not run."""
RUN = frozenset({"bash", "python"})
MARKERS = frozenset({"not run", "slow", "server", "installs", "prints"})
LIMIT_S = 600
"""Longest that a block may take: against one that never ends, and not to measure anything."""
SERVER_STATUS = frozenset({0, -signal.SIGINT, 128 + signal.SIGINT})

_BLOCK = re.compile(
    r"(?:^[ \t]*<!--[ \t]*(?P<marker>[^\n]*?)[ \t]*-->[ \t]*\n)?"
    r"^(?P<indent>[ \t]*)(?P<fence>```+)(?P<info>[^\n]*)\n(?P<text>.*?)^(?P=indent)(?P=fence)[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
_TITLE = re.compile(r'\btitle="([^"]+)"')
_CHANGES = re.compile(r"^[ \t]*(?:[A-Z_]+=\S*[ \t]+)*(?:\S*/)?(?:pip|npm|make|apt-get|sudo)\b|-m pip\b", re.MULTILINE)
_ADDRESS = re.compile(r"http://[^\s]+")


class BlockError(Exception):
    """A block that is malformed or did not do what its page says."""


@dataclass(frozen=True)
class Block:
    """One fenced block of a page.

    Attributes:
        page: File that holds it.
        line: Of its fence, from 1.
        language: First word after the fence, "" without one.
        title: File that it is written to, or "".
        text: What stands between the fences, without their indent.
        marker: Word of the comment above it: "" or one of ``MARKERS``.
        reason: What the comment gives as its reason, or "".
    """

    page: str
    line: int
    language: str
    title: str
    text: str
    marker: str = ""
    reason: str = ""

    @property
    def place(self) -> str:
        """Where it stands, as ``page:line``."""
        return f"{self.page}:{self.line}"


def blocks_in(page: str, markdown: str) -> list[Block]:
    """Find the blocks of a page.

    Raises:
        BlockError: A block has no language that is known, or leaves out a reason.
    """
    found = []
    for match in _BLOCK.finditer(markdown):
        line = markdown.count("\n", 0, match.start("fence")) + 1
        language, _, rest = match["info"].strip().partition(" ")
        title = _TITLE.search(rest)
        marker, _, reason = (match["marker"] or "").partition(":")
        if marker.strip() not in MARKERS:
            marker, reason = "", ""
        indent = match["indent"]
        text = "".join(part.removeprefix(indent) for part in match["text"].splitlines(keepends=True))
        block = Block(page, line, language, title[1] if title else "", text, marker.strip(), reason.strip())
        if language not in SHOWN | RUN:
            raise BlockError(f"{block.place}: expected one of {', '.join(sorted(SHOWN | RUN))}, got '{language}'")
        if block.marker in ("not run", "slow") and not block.reason:
            raise BlockError(f"{block.place}: '{block.marker}' needs a reason, as <!-- {block.marker}: REASON -->")
        found.append(block)
    return found


def run_blocks(blocks: Sequence[Block], folder: Path, environment: Mapping[str, str]) -> list[str]:
    """Run the blocks of a page.

    Args:
        blocks: In the order of the page.
        folder: Where they run; holds whatever the page takes as given.
        environment: Variables beside those of this process.

    Returns:
        Where the blocks stand that were run.

    Raises:
        BlockError: A block failed, or printed something else than the page says.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    environment = {**os.environ, **environment}
    ran, printed = [], ""
    for block in blocks:
        if block.marker == "not run":
            continue
        if block.title:
            (folder / block.title).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.title).write_text(block.text, encoding="utf-8")
        elif block.marker == "prints":
            compare(block, printed)
        elif block.marker == "installs":
            environment = {**environment, **installed(folder)}
        elif block.marker == "server":
            serve(block, folder, environment)
        elif block.language == "bash":
            printed = run_bash(block, folder, environment)
        elif block.language == "python":
            printed = run_python(block, folder, names)
        else:
            continue
        ran.append(block.place)
    return ran


def compare(block: Block, printed: str) -> None:
    """Make sure that ``printed`` is what ``block`` shows."""
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    if not doctest.OutputChecker().check_output(block.text, printed, flags):
        raise BlockError(f"{block.place}: expected\n{block.text}\ngot\n{printed}")


def run_bash(block: Block, folder: Path, environment: Mapping[str, str]) -> str:
    """Run a block of bash; returns what it printed on stdout.

    Raises:
        BlockError: It failed, or would change the environment that it runs in, which no example may.
    """
    if _CHANGES.search(block.text):
        raise BlockError(f"{block.place}: changes its environment; say why it is not run, or that it installs")
    command = ["bash", "-euo", "pipefail", "-c", block.text]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    if done.returncode:
        raise BlockError(f"{block.place}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def run_python(block: Block, folder: Path, names: dict[str, Any]) -> str:
    """Run a block of Python in ``names``; returns what it printed."""
    out = io.StringIO()
    code = compile("\n" * block.line + block.text, block.page, "exec")
    with contextlib.chdir(folder), contextlib.redirect_stdout(out):
        try:
            exec(code, names)
        except Exception as error:
            raise BlockError(f"{block.place}: {type(error).__name__}: {error}") from error
    return out.getvalue()


def installed(folder: Path) -> dict[str, str]:
    """Let Python find the package of a folder, and its entry points, as if it had been installed; needs no network.

    Returns:
        Variables by which processes find it.
    """
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    name, version = project["name"], project["version"]
    info = folder / ".installed" / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{entry} = {value}" for entry, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    paths = [str(info.parent), str(folder), environment_of_this_python()["PYTHONPATH"]]
    return {"PYTHONPATH": os.pathsep.join(paths)}


def serve(block: Block, folder: Path, environment: Mapping[str, str]) -> None:
    """Start a command that goes on until it is stopped, ask it for its page, and stop it."""
    command = ["bash", "-euo", "pipefail", "-c", f"exec {block.text.strip()}"]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            seen = []
            assert process.stdout is not None
            for line in process.stdout:
                seen.append(line)
                if address := _ADDRESS.search(line):
                    with urllib.request.urlopen(address[0], timeout=LIMIT_S) as answer:
                        answer.read()
                    break
            else:
                raise BlockError(f"{block.place}: no address was printed\n{''.join(seen)}")
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=LIMIT_S)
        finally:
            process.kill()
    if process.returncode not in SERVER_STATUS:
        raise BlockError(f"{block.place}: exit status {process.returncode}\n{rest}")


def environment_of_this_python() -> dict[str, str]:
    """Variables by which ``bedside`` and ``python`` in a block are those that run this, and no browser opens."""
    here = str(Path(sys.executable).parent)
    source = str(Path(__file__).parents[1] / "src")
    paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        "PATH": os.pathsep.join([here, os.environ.get("PATH", "")]),
        "PYTHONPATH": os.pathsep.join(paths),
        "BROWSER": "true",
        "COLUMNS": "120",
    }

"""No write that fails loses an older file, whatever is written and however the disk fails."""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.failing_disk import APART, KINDS, may_mount
from tests.support.written import CASES, MODULES, NEEDS

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "bedside"


def available(case: str) -> bool:
    return all(importlib.util.find_spec(name) is not None for name in NEEDS.get(case, ()))


@functools.cache
def outcome(kind: str, folder: Path) -> dict[str, list[str]]:
    """What was lost of each case, tried in one process because the libraries are slow to load."""
    names = [name for name in CASES if available(name)]
    child = subprocess.run(
        [
            *(APART if kind != "limited" else []),
            sys.executable,
            "-m",
            "tests.support.failing_disk",
            folder,
            kind,
            *names,
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["src", *sys.path]), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-3000:]
    found: dict[str, list[str]] = json.loads(child.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: tmp_path_factory.mktemp(kind) for kind in KINDS}


@pytest.mark.skipif(sys.platform == "win32", reason="limits and mounts of POSIX systems")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_a_failed_write_leaves_the_older_file_and_nothing_else(case: str, kind: str, folders: dict[str, Path]) -> None:
    if kind != "limited" and not may_mount():
        pytest.skip("no disk can be mounted here (unshare --mount --map-root-user)")
    if not available(case):
        pytest.skip(f"needs {', '.join(NEEDS[case])}")
    assert outcome(kind, folders[kind])[case] == []


def modules() -> dict[str, ast.Module]:
    return {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(SOURCE.rglob("*.py"))
    }


SIMPLE = {"write_text_atomically", "write_bytes_atomically", "scratch_folder"}
"""Of ``core.files``, what has a case of its own: text goes the way of bytes."""


def test_every_module_that_writes_has_a_case() -> None:
    using = set()
    for name, tree in modules().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "bedside.core.files":
                more = {alias.name for alias in node.names} - SIMPLE
                using |= {name} if more and not name.startswith("serve.") else set()
    assert using <= set(MODULES)
    assert set(MODULES.values()) <= set(CASES)


PLAIN = {
    "core.files": "what the others go through",
    "core.disk": "the same",
    "io.formats.nifti": "is given a temporary path",
    "io.formats.png": "reads through a private copy",
    "io.formats.npz": "the same",
    "io.formats.tiff": "the same",
    "io.itk": "reads a header through a private copy",
    "io.packing": "reads through a private copy",
    "serve.places": "unpacks into a scratch folder",
    "serve.routes.export": "makes a zip in memory",
    "serve.routes.sent": "receives into a scratch folder",
    "session.workspace_file": "a lock, which nobody reads for its content",
    "weights.pull": "a part, which is gone on with",
}
"""Modules that open files for writing or write whole ones by themselves, and why they may."""


def test_nothing_else_writes_to_the_place_itself() -> None:
    found = {name for name, tree in modules().items() if any(_writes(node) for node in ast.walk(tree))}
    found -= {name for name, tree in modules().items() if _goes_through_files(tree)}
    assert found <= set(PLAIN)


def _writes(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if called in ("write_text", "write_bytes", "savez", "savez_compressed", "save_file", "imwrite"):
        return True
    texts = [a.value for a in [*node.args[:2], *(k.value for k in node.keywords)] if isinstance(a, ast.Constant)]
    return called in ("open", "ZipFile") and any(
        isinstance(t, str) and set(t) & set("wax+") and len(t) < 4 for t in texts
    )


def _goes_through_files(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.ImportFrom) and node.module == "bedside.core.files" for node in ast.walk(tree))

"""The walls of the house: who may import whom, what stays unloaded, and how long a module may be.

The rooms and their floors are read from the table in docs/architecture.md, so that page and code cannot part.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "bedside"
PAGE = ROOT / "docs" / "architecture.md"
LONGEST = 450

# Foreign packages with a home: no other room names them, not even inside a function.
HOMES = {
    "torch": {"train", "runtime", "weights", "engines"},
    "openvino": {"runtime", "cli"},
    "onnxruntime": {"runtime", "cli"},
    "nibabel": {"io", "data"},
    "SimpleITK": {"io", "data", "imaging"},
    "pydicom": {"io", "data", "archive"},
    "pynetdicom": {"archive"},
    "dicomweb_client": {"archive"},
    "requests": {"archive"},
    "dicomanonymizer": {"io"},
    "highdicom": {"io"},
    "typer": {"cli"},
    "fastapi": {"serve"},
    "starlette": {"serve"},
    "uvicorn": {"serve"},
    "pydantic": {"serve"},
    "ray": {"batch"},
    "anywidget": {"session"},
    "traitlets": {"session"},
    "nncf": {"runtime"},
    "tensorboard": {"train"},
    "matplotlib": {"evaluate"},
    "jinja2": {"evaluate"},
}
TORCH_FOLDERS = {"networks", "blocks", "training", "sampling", "convert"}
TORCH_FILES = {"network", "training", "convert", "checkpoint"}
"""Where an engine may name torch: by the name of a folder or a file, so that nothing on the way to a mask does.

An encoding paints on torch, too, in the same file: what its functions and types import is not loaded with it.
"""
BARE_MACHINE = {"numpy", "torch"}
"""All that a machine needs to train on a packed store."""
LAZY_IN_TRAIN = {"yaml", "tensorboard"}


@dataclass(frozen=True)
class Import:
    """One imported module: its absolute dotted name, the line, and whether importing the file imports it."""

    name: str
    line: int
    at_load: bool
    relative: bool = False

    @property
    def top(self) -> str:
        return self.name.split(".")[0]


def imports_in(path: Path) -> list[Import]:
    return list(_walk(ast.parse(path.read_text(encoding="utf-8")), at_load=True))


def _walk(node: ast.AST, at_load: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, at_load)
        elif isinstance(child, ast.ImportFrom):
            # `from bedside import io` names the room in its list and not in its module.
            names = [f"bedside.{a.name}" for a in child.names] if child.module == "bedside" else [child.module or ""]
            for name in names:
                yield Import(name, child.lineno, at_load, relative=child.level > 0)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for part in child.body:
                yield from _walk(ast.Module([part], []), at_load=False)
            for part in child.orelse:
                yield from _walk(ast.Module([part], []), at_load)
        else:
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _walk(child, at_load and not inside)


@cache
def floors() -> dict[str, int]:
    table = PAGE.read_text(encoding="utf-8").split("<!-- rooms:")[1].split("<!-- end of rooms -->")[0]
    return {room: int(floor) for floor, room in re.findall(r"^\| (\d+) \| `(\w+)` \|", table, re.MULTILINE)}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0]


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


ENGINES = {path.name for path in (PACKAGE / "engines").iterdir() if (path / "spec.py").is_file()}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)
IN_ROOMS = [path for path in MODULES if path.parent != PACKAGE]


def test_every_room_has_its_line_on_the_page() -> None:
    assert floors().keys() == {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}


def test_the_package_holds_rooms_and_the_front_door_only() -> None:
    assert {path.name for path in MODULES if path.parent == PACKAGE} <= {"__init__.py", "__main__.py"}


def test_imports_run_downward_and_never_in_a_circle() -> None:
    wrong = []
    for path in IN_ROOMS:
        room = room_of(path)
        for found in imports_in(path):
            parts = found.name.split(".")
            if parts[0] != "bedside" or len(parts) < 2 or parts[1] in (room, "__version__"):
                continue
            # The front door leads to every room: a room that used it could reach any floor.
            if floors().get(parts[1], 99) >= floors()[room]:
                wrong.append(f"{where(path, found.line)}: {room} imports {found.name}")
    assert not wrong, "\n".join(wrong)


def test_foreign_packages_stay_in_their_rooms() -> None:
    wrong = [
        f"{where(path, found.line)}: {found.top} belongs to {', '.join(sorted(HOMES[found.top]))}"
        for path in IN_ROOMS
        for found in imports_in(path)
        if found.top in HOMES and room_of(path) not in HOMES[found.top]
    ]
    assert not wrong, "\n".join(wrong)


def test_engines_name_torch_only_where_networks_are_made_or_trained() -> None:
    wrong = []
    for path in [p for p in IN_ROOMS if room_of(p) == "engines"]:
        within = set(path.relative_to(PACKAGE).parts[1:-1])
        if within & TORCH_FOLDERS or path.stem in TORCH_FILES:
            continue
        lazily = "encodings" in within
        wrong += [
            where(path, found.line)
            for found in imports_in(path)
            if found.top == "torch" and (found.at_load or not lazily)
        ]
    assert not wrong, "\n".join(wrong)


def test_engines_know_nothing_of_each_other() -> None:
    wrong = []
    for path in IN_ROOMS:
        parts = path.relative_to(PACKAGE).parts
        if parts[0] != "engines" or len(parts) < 3:
            continue
        for found in imports_in(path):
            named = found.name.split(".")
            if named[:2] == ["bedside", "engines"] and len(named) > 3 and named[2] in ENGINES - {parts[1]}:
                wrong.append(f"{where(path, found.line)}: {parts[1]} imports {found.name}")
    assert not wrong, "\n".join(wrong)


def test_no_two_modules_import_each_other() -> None:
    """Circles of any length, inside functions too, within rooms and across."""
    names = {module_name(path): path for path in MODULES}
    graph = {name: {target for target in edges(path, names) if target != name} for name, path in names.items()}
    while leaves := {name for name, targets in graph.items() if not targets & graph.keys()}:
        for name in leaves:
            del graph[name]
    assert not {name: sorted(targets & graph.keys()) for name, targets in graph.items()}


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


def edges(path: Path, names: Mapping[str, Path]) -> set[str]:
    """Modules of the package that a file imports; what serves type checks alone is no import."""
    found = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module or ""}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    # A package's own page is loaded with each of its modules and counts where it is named alone.
    return {name for name in found if name in names and names[name].stem != "__init__"}


def test_training_needs_no_more_than_a_bare_machine() -> None:
    wrong = []
    for path in [p for p in IN_ROOMS if room_of(p) == "train"] + [PACKAGE / "data" / "store.py"]:
        allowed = BARE_MACHINE | {"bedside"} | set(sys.stdlib_module_names)
        for found in imports_in(path) if path.exists() else []:
            lazy = room_of(path) == "train" and found.top in LAZY_IN_TRAIN | {"torch"} and not found.at_load
            if found.top not in allowed and not lazy:
                wrong.append(f"{where(path, found.line)}: {found.name}")
    assert not wrong, "\n".join(wrong)


def test_no_relative_imports() -> None:
    wrong = [where(path, found.line) for path in MODULES for found in imports_in(path) if found.relative]
    assert not wrong, "\n".join(wrong)


def test_no_module_is_too_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert not {name: n for name, n in lengths.items() if n > LONGEST}


def loaded_by(statement: str) -> set[str]:
    """Top-level names in ``sys.modules`` after ``statement`` in a fresh interpreter."""
    code = f"{statement}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stdout.split())


def test_import_bedside_loads_nothing_heavy() -> None:
    assert not loaded_by("import bedside") & {"torch", "openvino", "onnxruntime", "numpy", "scipy", "rich", "typer"}


@pytest.mark.parametrize(
    "module", ["bedside.session", "bedside.engines", "bedside.io", "bedside.serve.api", "bedside.cli.main"]
)
def test_the_inference_path_loads_no_torch(module: str) -> None:
    assert "torch" not in loaded_by(f"import {module}")


def test_training_and_its_samples_load_no_libraries_of_formats_or_runtimes() -> None:
    modules = [p.relative_to(ROOT / "src").with_suffix("") for p in IN_ROOMS if room_of(p) == "train"]
    names = {".".join(m.parts).removesuffix(".__init__") for m in modules} | {"bedside.engines.window.sampling.sampler"}
    loaded = loaded_by("import " + ", ".join(sorted(names)))
    assert not loaded & {"nibabel", "SimpleITK", "pydicom", "tifffile", "PIL", "skimage", "openvino", "onnx", "yaml"}


def test_public_names_are_found_where_the_front_door_says() -> None:
    loaded = loaded_by("import bedside\nfor name in bedside.__all__: getattr(bedside, name)")
    assert "bedside" in loaded
    assert "torch" not in loaded


class TestTheTestItself:
    """A wall that cannot fail is no wall."""

    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            ("import torch.nn as nn", [("torch.nn", True, False)]),
            ("def f():\n    import torch", [("torch", False, False)]),
            ("class A:\n    import torch", [("torch", True, False)]),
            ("try:\n    import torch\nexcept ImportError:\n    pass", [("torch", True, False)]),
            ("from bedside import io, core", [("bedside.io", True, False), ("bedside.core", True, False)]),
            ("from bedside.io.nifti import read", [("bedside.io.nifti", True, False)]),
            ("from . import x", [("", True, True)]),
            ("if TYPE_CHECKING:\n    import torch\nelse:\n    import x", [("torch", False, False), ("x", True, False)]),
        ],
    )
    def test_imports_are_found_wherever_they_hide(
        self, tmp_path: Path, source: str, expected: list[tuple[str, bool, bool]]
    ) -> None:
        (tmp_path / "module.py").write_text(source)
        found = [(i.name, i.at_load, i.relative) for i in imports_in(tmp_path / "module.py")]
        assert found == expected

    def test_loaded_modules_are_seen(self) -> None:
        assert "decimal" in loaded_by("import decimal")
        assert "decimal" not in loaded_by("")

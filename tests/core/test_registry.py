"""The registry: found by import, unique names, helpful rejections."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bedside.core.errors import InputError
from bedside.core.registry import Registry

WritePackage = Callable[..., str]


@pytest.fixture
def write_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WritePackage]:
    """Writes a package of modules that can be imported, and forgets it afterwards."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, **modules: str) -> str:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").write_text("from bedside.core.registry import Registry\n" + modules.pop("init", ""))
        for module, text in modules.items():
            (folder / f"{module}.py").write_text(text)
        return name

    before = set(sys.modules)
    yield write
    for module in set(sys.modules) - before:
        if module.startswith("added_"):
            del sys.modules[module]


def filled() -> Registry[int]:
    registry: Registry[int] = Registry("reader", "email.mime")  # any package without entries of ours
    registry.register("nifti")(1)
    registry.register("nrrd")(2)
    registry.register("dicom")(3)
    return registry


def test_entries_come_back_by_name_and_sorted() -> None:
    registry = filled()
    assert registry.get("nrrd") == 2
    assert registry.names() == ["dicom", "nifti", "nrrd"]
    assert list(registry.items()) == [("dicom", 3), ("nifti", 1), ("nrrd", 2)]


def test_register_is_a_decorator_that_returns_its_entry() -> None:
    registry: Registry[Callable[[], int]] = Registry("metric", "email.mime")

    @registry.register("five")
    def five() -> int:
        return 5

    assert registry.get("five") is five
    assert five() == 5


def test_a_name_is_taken_once() -> None:
    registry = filled()
    with pytest.raises(InputError, match="reader 'nifti' is registered twice"):
        registry.register("nifti")(9)
    assert registry.get("nifti") == 1


def test_an_unknown_name_is_rejected_with_the_choices_and_the_nearest() -> None:
    with pytest.raises(InputError, match=r"unknown reader: expected one of dicom, nifti, nrrd, got 'nfti'.*'nifti'\?"):
        filled().get("nfti")


def test_an_unknown_name_like_nothing_gets_no_suggestion() -> None:
    with pytest.raises(InputError) as caught:
        filled().get("zzzz")
    assert "did you mean" not in str(caught.value)


def test_modules_are_imported_only_when_asked(write_package: WritePackage) -> None:
    package = write_package(
        "added_readers",
        init="REGISTRY = Registry('reader', 'added_readers')\n",
        one="from added_readers import REGISTRY\nREGISTRY.register('one')(1)\n",
        two="from added_readers import REGISTRY\nREGISTRY.register('two')(2)\n",
    )
    registry = __import__(package).REGISTRY
    assert "added_readers.one" not in sys.modules
    assert registry.names() == ["one", "two"]
    assert registry.get("two") == 2


def test_a_module_may_ask_the_registry_while_it_is_imported(write_package: WritePackage) -> None:
    package = write_package(
        "added_reentrant",
        init="REGISTRY = Registry('reader', 'added_reentrant')\n",
        one="from added_reentrant import REGISTRY\nREGISTRY.register('one')(REGISTRY.names())\n",
    )
    assert __import__(package).REGISTRY.get("one") == []


def test_a_module_that_fails_fails_every_time(write_package: WritePackage) -> None:
    package = write_package(
        "added_broken",
        init="REGISTRY = Registry('reader', 'added_broken')\n",
        broken="raise RuntimeError('damaged')\n",
        works="from added_broken import REGISTRY\nREGISTRY.register('works')(1)\n",
    )
    registry = __import__(package).REGISTRY
    for _ in range(2):
        with pytest.raises(RuntimeError, match="damaged"):
            registry.names()

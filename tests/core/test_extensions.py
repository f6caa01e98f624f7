"""Entries of other installed packages: found beside the package's own, told of where they are broken."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from bedside.core import engines, extensions
from bedside.core.errors import InputError
from bedside.core.registry import Registry
from bedside.weights import models

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs a distribution as pip does: modules beside a folder of metadata."""
    before = set(sys.modules)
    number = iter(range(99))

    def forget() -> None:
        for cache in (extensions.all_extensions, engines.engine_specs, models._found):
            cache.cache_clear()
        extensions._PROBLEMS.clear()

    def make(name: str, entries: Mapping[str, Mapping[str, str]], modules: Mapping[str, str]) -> None:
        folder = tmp_path / str(next(number))
        metadata = folder / f"{name.replace('-', '_')}-1.2.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        sections = [
            f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in values.items()) for group, values in entries.items()
        ]
        (metadata / "entry_points.txt").write_text("\n".join(sections))
        for module, text in modules.items():
            (folder / f"{module}.py").write_text(text)
        monkeypatch.syspath_prepend(str(folder))
        forget()

    yield make
    monkeypatch.undo()
    forget()
    for module in set(sys.modules) - before:
        if module.startswith("added_"):
            del sys.modules[module]


def fresh(kind: str = "reader", of: type | None = int) -> Registry[int]:
    registry: Registry[int] = Registry(kind, "email.mime", of)  # any package without entries of ours
    registry.register("own")(1)
    return registry


def test_entries_of_other_packages_stand_beside_the_own(install: Install) -> None:
    install("added-one", {"bedside.readers": {"other": "added_one:ENTRY"}}, {"added_one": "ENTRY = 2\n"})
    registry = fresh()
    assert "added_one" not in sys.modules
    assert registry.names() == ["other", "own"]
    assert registry.get("other") == 2
    origin = registry.origin("other")
    assert origin is not None
    assert (origin.distribution, origin.version) == ("added-one", "1.2")
    assert registry.origin("own") is None
    assert fresh("writer").names() == ["own"]


@pytest.mark.parametrize(
    ("value", "text", "expected"),
    [
        ("added_bad:ENTRY", "raise OSError('no such library')", "OSError: no such library"),
        ("added_bad:ENTRY", "ENTRY: int", "AttributeError"),
        ("added_missing:ENTRY", "", "ModuleNotFoundError: No module named 'added_missing'"),
        ("added_bad:ENTRY", "ENTRY = 'a text'", "expected a int, got str"),
        ("added_bad:ENTRY", "raise SyntaxError('two\\nlines')", "two lines"),
    ],
)
def test_a_broken_one_is_named_in_one_line_and_the_others_go_on(
    install: Install, caplog: pytest.LogCaptureFixture, value: str, text: str, expected: str
) -> None:
    install("added-bad", {"bedside.readers": {"bad": value}}, {"added_bad": text})
    install("added-good", {"bedside.readers": {"good": "added_good:ENTRY"}}, {"added_good": "ENTRY = 3\n"})
    with caplog.at_level(logging.WARNING):
        assert fresh().names() == ["good", "own"]
        assert fresh().names() == ["good", "own"]
    (line,) = caplog.messages
    assert line.startswith("bedside: warning: added-bad 1.2, entry point bedside.readers bad = added_")
    assert expected in line
    assert "\n" not in line


def test_a_name_that_is_taken_is_named_with_both_owners(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    install("added-a", {"bedside.readers": {"own": "added_a:E", "x": "added_a:E"}}, {"added_a": "E = 5\n"})
    install("added-b", {"bedside.readers": {"x": "added_b:E"}}, {"added_b": "E = 6\n"})
    registry = fresh()
    assert registry.get("own") == 1
    assert registry.get("x") == 5
    own, x = caplog.messages
    assert "added-a" in own
    assert "reader 'own' is bedside's already" in own
    assert "added-b" in x
    assert "reader 'x' is added-a's already" in x


def test_engines_and_models_are_added_too(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    spec = "from bedside.core.engines import EngineSpec\nSPEC = EngineSpec('added', 'm:load', ())\n"
    card = """raise ImportError("a card is read and its module not imported")
CARD = {"name": "added-2d", "family": "added", "summary": "s", "parameters": 1, "dimensions": 2, "grid": 64,
        "prompt_kinds": ("point",), "negative_kinds": (), "licence": "MIT", "source": "test"}
"""
    install(
        "added-engine",
        {
            "bedside.engines": {"added": "added_spec:SPEC", "wrong": "added_spec:EngineSpec"},
            "bedside.models": {"added-2d": "added_net", "none": "added_spec", "again": "added_net"},
        },
        {"added_spec": spec, "added_net": card},
    )
    assert engines.engine_spec("added").load == "m:load"
    assert models.model_card("added-2d").grid == 64
    assert "window" in engines.engine_specs()
    assert "bedside-2d" in [c.name for c in models.model_cards()]
    assert len(caplog.messages) == 3
    assert any("expected an EngineSpec" in line for line in caplog.messages)
    assert any("expected a literal CARD" in line for line in caplog.messages)
    assert any("model 'added-2d' has two cards" in line for line in caplog.messages)


def test_a_model_may_not_take_the_name_of_a_bundled_one(install: Install, caplog: pytest.LogCaptureFixture) -> None:
    card = "CARD = {'name': 'bedside-2d', 'family': 'window', 'summary': '', 'parameters': 1, 'dimensions': 2,"
    card += "'grid': 8, 'prompt_kinds': (), 'negative_kinds': (), 'licence': '', 'source': ''}\n"
    install("added-thief", {"bedside.models": {"bedside-2d": "added_thief"}}, {"added_thief": card})
    assert models.model_card("bedside-2d").grid == 128
    assert "bedside.engines.window.networks.bedside_2d" in caplog.text


def test_an_unknown_name_lists_the_added_ones(install: Install) -> None:
    install("added-one", {"bedside.readers": {"other": "added_one:ENTRY"}}, {"added_one": "ENTRY = 2\n"})
    with pytest.raises(InputError, match="expected one of other, own"):
        fresh().get("third")

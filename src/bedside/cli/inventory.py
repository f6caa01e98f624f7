"""What ``bedside info`` shows. Apart from the verb, so that it predicts without waiting for Typer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from bedside.cli.host import RUNTIMES, extras, host, versions


def print_inventory(as_json: bool) -> None:
    """Print this machine, the runtimes, models and formats, as lines or as JSON."""
    found = inventory()
    print(json.dumps(found, indent=2) if as_json else "\n".join(_lines(found)))


def inventory() -> dict[str, Any]:
    """This machine, the runtimes, extras, models, bundled weights, readers and writers, as plain values."""
    from bedside.io import readers, writers
    from bedside.weights.models import model_cards

    known = versions()
    found = {
        "bedside": known["bedside"],
        "python": known["python"],
        "host": host(),
        "runtimes": {name: known[name] for name in RUNTIMES} | _added_runtimes(),
        "extras": extras(),
        "models": [card.to_dict() for card in model_cards()],
        "weights": _bundled(),
        "readers": {name: list(suffixes) for name, suffixes in readers().items()},
        "writers": {name: list(suffixes) for name, suffixes in writers().items()},
    }
    # Last, when what was asked for above has been tried.
    return {**found, "extensions": _extensions()}


def _added_runtimes() -> dict[str, str | None]:
    """Return runtimes of other packages with their versions."""
    from bedside.core.extensions import extensions

    if not extensions("runtimes"):
        return {}
    from bedside.runtime.backend import backends

    return {name: entry.version() for name, entry in backends.items() if backends.origin(name) is not None}


def _extensions() -> list[dict[str, str | None]]:
    """Return what other packages add, and why it is left out where it is."""
    from bedside.core.extensions import all_extensions, problem_of

    return [
        {"package": e.distribution, "version": e.version, "adds": group, "name": e.name, "problem": problem_of(e)}
        for group, entries in sorted(all_extensions().items())
        for e in entries
    ]


def _bundled() -> list[dict[str, Any]]:
    """Return files of the weights that come with the package, with their size in bytes."""
    from importlib.resources import files
    from pathlib import Path

    folder = Path(str(files("bedside.weights") / "bundled"))
    # A model card is small text beside the weights and no weights itself.
    found = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix not in (".json", ".py", ".md", ".pyc"))
    return [{"file": str(p.relative_to(folder)), "bytes": p.stat().st_size} for p in found]


def _lines(found: Mapping[str, Any]) -> Iterable[str]:
    machine = found["host"]
    memory = f"{machine['memory'] / 2**30:.1f} GiB" if machine["memory"] else "memory unknown"
    yield f"Bedside   {found['bedside']} on Python {found['python']}, {machine['system']} {machine['machine']}"
    yield f"Host      {machine['cpu'] or 'unknown processor'}, {machine['cores']} cores, {memory}"
    yield f"Runtimes  {', '.join(f'{n} {v}' if v else f'{n} (not installed)' for n, v in found['runtimes'].items())}"
    yield f"Extras    {', '.join(f'{n} {_yes(there)}' for n, there in found['extras'].items())}"
    yield f"Readers   {_formats(found['readers'])}"
    yield f"Writers   {_formats(found['writers'])}"
    yield from _column(
        "Models", [f"{m['name']}: {m['summary']} ({m['parameters']:,} parameters)" for m in found["models"]]
    )
    yield from _column("Weights", [f"{w['file']} ({w['bytes'] / 2**20:.1f} MiB)" for w in found["weights"]])
    if found["extensions"]:
        yield from _column("Added", [_added(e) for e in found["extensions"]])


def _added(extension: Mapping[str, str | None]) -> str:
    line = f"{extension['adds']}: {extension['name']} (by {extension['package']} {extension['version']})"
    return f"{line}, left out: see the warning" if extension["problem"] else line


def _column(title: str, items: list[str]) -> Iterable[str]:
    for number, item in enumerate(items or ["none"]):
        yield f"{title if number == 0 else '':<9} {item}"


def _formats(formats: Mapping[str, list[str]]) -> str:
    return "; ".join(f"{name} {' '.join(suffixes)}".strip() for name, suffixes in formats.items())


def _yes(there: bool) -> str:
    return "installed" if there else "not installed"

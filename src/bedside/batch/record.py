"""The record beside each mask: what it was made of, so that a later run knows what is done and what has changed."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from bedside.batch.manifest import as_given
from bedside.batch.plan import Item
from bedside.core.addresses import Address, remote_files
from bedside.core.errors import InputError
from bedside.core.files import write_text_atomically
from bedside.weights.card import file_sha256
from bedside.weights.store import installed_weights

RECORD_SUFFIX = ".batch.json"
FORMAT, VERSION = "bedside-batch", 1


@dataclass(frozen=True)
class Settings:
    """What all masks of a run are made with.

    Attributes:
        model: Name of the model; None for that of a journal, or the bundled one that fits the image.
        device: "auto", "cpu" or "cuda".
        policy: Who gets a voxel that several objects claim.
        allow_empty: Whether masks in which nothing was found are written.
    """

    model: str | None = None
    device: str = "auto"
    policy: str = "keep"
    allow_empty: bool = False


@dataclass(frozen=True)
class ObjectFound:
    """One object of a mask.

    Attributes:
        label: Its value.
        name: What it is.
        voxels: How many have its value.
        volume_ml: Of a volume whose spacing is known.
        area_mm2: Of a picture whose spacing is known.
    """

    label: int
    name: str
    voxels: int
    volume_ml: float | None
    area_mm2: float | None


@dataclass(frozen=True)
class Made:
    """A mask that was made.

    Attributes:
        model: Name of the model.
        weights_sha256: Checksum of its weights; None where it does not say.
        objects: What is in the mask, in the order of its rows.
        seconds: What it took.
        notes: What a user should know, a sentence each.
    """

    model: str
    weights_sha256: str | None
    objects: tuple[ObjectFound, ...]
    seconds: float
    notes: tuple[str, ...] = ()


def record_path(output: Path) -> Path:
    """Return where the record of a mask lies."""
    return output.with_name(output.name + RECORD_SUFFIX)


def fingerprint(item: Item, settings: Settings, home: Path) -> str:
    """Return what identifies the image, prompts and settings of a mask, without reading the image.

    Files count by path, size and time of change, folders by those of the files in them.

    Args:
        item: The mask.
        settings: How it is made.
        home: Folder of the manifest.

    Raises:
        OSError: A file cannot be asked for.
    """
    objects = []
    for row in item.rows:
        said = {f.name: getattr(row, f.name) for f in fields(row) if f.name not in ("number", "output", "flags")}
        named = [*row.flags.scribbles, *row.flags.negative_scribbles, *row.flags.lassos]
        named += [path for path in (row.flags.initial_mask, row.journal, row.mask) if path is not None]
        said |= {"flags": asdict(row.flags), "files": [_identity(path) for path in named]}
        objects.append(said)
    whole = {
        "image": _identity(item.rows[0].image),
        "objects": objects,
        "model": settings.model,
        "policy": settings.policy,
        "allow_empty": settings.allow_empty,
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True, default=partial(as_given, home=home)).encode()).hexdigest()


def _identity(path: Address) -> list[Any]:
    """Return path, size and time of change of a file, or of all files in a folder."""
    if isinstance(path, str):
        return [path, remote_files(path)]
    found = path.stat()
    if not path.is_dir():
        return [path, found.st_size, found.st_mtime_ns]
    files = []
    for folder, below, names in os.walk(path):
        below.sort()
        for name in sorted(names):
            file = Path(folder, name)
            try:
                of_file = file.stat()
            except FileNotFoundError:
                # A link to nothing, or a file removed meanwhile.
                continue
            files.append([os.path.relpath(file, path), of_file.st_size, of_file.st_mtime_ns])
    return [path, files]


def made_before(item: Item, mark: str) -> Made | None:
    """Return the record of a mask that is there as a run made it, of the same image, prompts and model; else None.

    Raises:
        InputError: What is there was made or changed by something else, which is not to be lost.
        OSError: The mask cannot be read.
    """
    there, record = item.output.exists(), _read(record_path(item.output))
    if record is None:
        if there:
            _reject(item.output, "a file that no batch made")
        return None
    if record.get("state") != "done" or not there:
        return None
    if record.get("mask_sha256") != file_sha256(item.output):
        _reject(item.output, "a mask that was changed after it was made")
    if record.get("fingerprint") != mark:
        return None
    made = _made(record)
    return made if made is not None and _is_current(made) else None


def _reject(output: Path, got: str) -> None:
    fix = "move it away, name another output, or replace it with --again"
    raise InputError(f"{output}", expected="nothing, or a mask as a batch made it", got=got, fix=fix)


def begin(item: Item, mark: str) -> None:
    """Say beside a mask that it is about to be written, so that a run killed meanwhile leaves no doubt whose it is."""
    _write(item, {"state": "begun", "fingerprint": mark})


def finish(item: Item, mark: str, made: Made) -> None:
    """Say beside a mask that it is done, and of what it was made."""
    first = item.rows[0]
    said = {
        "state": "done",
        "fingerprint": mark,
        "mask_sha256": file_sha256(item.output),
        "image": [first.image] if isinstance(first.image, str) or first.image.is_dir() else _identity(first.image),
        "rows": [asdict(row) for row in item.rows],
        **asdict(made),
    }
    _write(item, said)


def _write(item: Item, said: Mapping[str, Any]) -> None:
    text = json.dumps({"format": FORMAT, "version": VERSION, **said}, indent=1, default=str)
    write_text_atomically(record_path(item.output), text + "\n")


def _read(path: Path) -> Mapping[str, Any] | None:
    """Return a record; None where there is none or it is none of this version."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    named = isinstance(found, dict) and (found.get("format"), found.get("version")) == (FORMAT, VERSION)
    return found if named else None


def _made(record: Mapping[str, Any]) -> Made | None:
    try:
        objects = tuple(ObjectFound(**{f.name: o[f.name] for f in fields(ObjectFound)}) for o in record["objects"])
        said = {f.name: record[f.name] for f in fields(Made)} | {"objects": objects, "notes": tuple(record["notes"])}
        return Made(**said)
    except (KeyError, TypeError):
        return None


def _is_current(made: Made) -> bool:
    """Say whether the model that made a mask has the same weights now."""
    weights = installed_weights(made.model)
    return made.weights_sha256 is None or (weights is not None and weights.card.sha256 == made.weights_sha256)

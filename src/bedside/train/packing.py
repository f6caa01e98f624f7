"""The training store of a run: packed from a folder of datasets, one that was packed before, or a sharded one.

There is one form that samples are drawn from: parts that are mapped into memory. A sharded store is unpacked to it, in
whole where it fits into the space that the run may take, else a part at a time (``data.streaming``).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedside.core.addresses import Address
from bedside.core.errors import InputError
from bedside.core.files import write_text_atomically
from bedside.data.catalogue import DataSet
from bedside.data.prepare import prepare_store, training_sets
from bedside.data.store import FORMAT_VERSION, Store
from bedside.data.store_manifest import StoreManifest, is_sharded, read_manifest
from bedside.data.streaming import StreamedStore, Streaming, unpack
from bedside.train.processes import Processes

PARTS = "part-*.npz"
RECORD = "source.json"
"""File in a store that says what it was packed from; it is written last, so that a store without one may be torn."""
PACKING_VERSION = 3
"""Raised whenever the same files would be packed to something else."""


@dataclass(frozen=True)
class SetSummary:
    """What a store holds of one dataset.

    Attributes:
        name: Name of the set.
        licence: As the set states it.
        cases: Images or volumes.
        objects: Labelled objects, counting a label's parts beside the label itself.
        superpixels: Superpixels that serve as objects.
    """

    name: str
    licence: str
    cases: int
    objects: int
    superpixels: int


def open_store(
    data: Address,
    folder: Path,
    report: Callable[[str], None],
    *,
    keep: bool = False,
    streaming: Streaming | None = None,
) -> Store:
    """Return the store that ``data`` is, or the one packed from it into ``folder`` where that is not done yet.

    Args:
        data: A packed store, a folder of datasets, see ``training_sets``, or the address of a sharded store.
        folder: Where a store is packed, or shards are unpacked.
        report: Called with a line for every set that is packed.
        keep: Reject to replace a store that was packed from other files, because a run depends on it.
        streaming: How much of a sharded store may be unpacked at a time; None for all of it.

    Raises:
        InputError: ``data`` does not exist, holds no set, or one that must not be trained on; or the store is kept.
        FormatError: A file cannot be read.
    """
    if isinstance(data, str) or (not is_store(data) and is_sharded(data)):
        return _open_sharded(data, folder, report, keep, streaming)
    if is_store(data):
        return Store(data)
    sets = training_sets(data)
    record = _record(sets)
    before = _read_record(folder)
    if before == record and is_store(folder):
        report(f"using the store packed before in {folder}")
        return Store(folder)
    if keep and before and _sizes(before) != _sizes(record):
        raise InputError(
            "data differ from those the run began with", fix="use another --out, the same data, or --restart"
        )
    report(f"packing {len(sets)} data sets into {folder}")
    (folder / RECORD).unlink(missing_ok=True)
    prepare_store(data, folder, report=report)
    write_text_atomically(folder / RECORD, json.dumps(record, indent=1) + "\n")
    return Store(folder)


def open_shared_store(
    data: Address,
    folder: Path,
    report: Callable[[str], None],
    processes: Processes,
    *,
    keep: bool = False,
    streaming: Streaming | None = None,
) -> Store:
    """Return ``open_store`` for several processes, of which one packs while the others wait.

    Raises:
        InputError: As ``open_store``, or this process does not see what that one has packed.
        FormatError: A file cannot be read.
    """
    with processes.first_alone():
        # What process 0 has unpacked of a sharded store the others find there.
        if processes.writes or isinstance(data, str) or is_store(data) or is_sharded(data):
            return open_store(data, folder, report, keep=keep, streaming=streaming)
        if not is_store(folder):
            raise InputError(
                "packed store",
                expected=f"the one of process 0 in {folder}",
                got="none",
                fix="give --out on a disk that all machines share, or --data that is a packed store",
            )
        return Store(folder)


def _open_sharded(
    address: Address, folder: Path, report: Callable[[str], None], keep: bool, streaming: Streaming | None
) -> Store:
    manifest = read_manifest(address)
    record = _sharded_record(manifest)
    before = _read_record(folder)
    if keep and before and before != record:
        raise InputError(
            "data differ from those the run began with", fix="use another --out, the same data, or --restart"
        )
    if before != record:
        for path in folder.glob(PARTS):
            path.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        write_text_atomically(folder / RECORD, json.dumps(record, indent=1) + "\n")
    size = sum(shard.unpacked for shard in manifest.shards) / 1e9
    if streaming is not None and size * 1e9 > streaming.buffer_bytes:
        report(
            f"streaming {len(manifest.shards)} shards of {address}: {streaming.buffer_bytes / 1e9:g} of {size:.3g} GB"
        )
        return StreamedStore(address, manifest, folder, streaming)
    report(f"unpacking {len(manifest.shards)} shards of {address} into {folder}: {size:.3g} GB")
    paths = {unpack(address, shard, folder) for shard in manifest.shards if shard.cases}
    for path in set(folder.glob(PARTS)) - paths:
        path.unlink()
    return Store(folder)


def _sharded_record(manifest: StoreManifest) -> dict[str, Any]:
    return {
        "format": "bedside-store-source",
        "sharded": manifest.sha256,
        "sets": [{"name": s.name, "licence": s.licence, "split": "train"} for s in manifest.sets],
    }


def is_store(folder: Address) -> bool:
    """Return whether ``folder`` holds a packed store."""
    return isinstance(folder, Path) and next(folder.glob(PARTS), None) is not None


def summarise(store: Store, folder: Path) -> list[SetSummary]:
    """Return what ``store``, which lies in ``folder``, holds of each dataset, sorted by name."""
    if isinstance(store, StreamedStore):
        return [SetSummary(s.name, s.licence, s.cases, s.objects, s.superpixels) for s in store.sets]
    licences = {entry["name"]: entry["licence"] for entry in _read_record(folder).get("sets", [])}
    cases, objects, superpixels = Counter[str](), Counter[str](), Counter[str]()
    for item in store.items:
        name = item.info.set_name
        if item.info.variant == "image":
            cases[name] += 1
            objects[name] += len(item.objects)
        else:
            superpixels[name] += len(item.objects)
    return [
        SetSummary(name, licences.get(name, "not stated"), cases[name], objects[name], superpixels[name])
        for name in sorted(cases)
    ]


def _record(sets: Sequence[DataSet]) -> dict[str, Any]:
    """Return what tells whether a store is up to date: the files with their sizes and times, and how they are
    packed.
    """
    files = {}
    for data_set in sets:
        paths = [data_set.folder / "set.json"]
        paths += [path for case in data_set.cases for path in (case.image_path, case.labels_path)]
        for path in paths:
            status = path.stat()
            files[f"{data_set.name}/{path.name}"] = [status.st_size, status.st_mtime_ns]
    return {
        "format": "bedside-store-source",
        "versions": [FORMAT_VERSION, PACKING_VERSION],
        "sets": [{"name": s.name, "licence": s.licence, "split": s.split} for s in sets],
        "files": files,
    }


def _read_record(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _sizes(record: dict[str, Any]) -> dict[str, int]:
    """Return names and sizes alone: a copy of the same files has other times, and is packed to the same store."""
    return {name: size for name, (size, _) in record.get("files", {}).items()}


def check_held_out(names: Sequence[str], sets: Sequence[SetSummary], report: Callable[[str], None]) -> None:
    """Reject held-out sets that the data lack.

    Raises:
        InputError: Every set is held out.
    """
    known = {s.name for s in sets}
    missing = sorted(set(names) - known)
    if missing:
        report(f"held-out sets that the data do not have: {', '.join(missing)}")
    if known <= set(names):
        raise InputError("training data", expected="a set that is not held out", got=", ".join(sorted(known)))

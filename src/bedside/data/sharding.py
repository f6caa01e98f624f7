"""Packing of datasets into a sharded store: in parallel, in shards that are made whole or not at all.

A shard is planned from the names and sizes of source files alone, so that every run plans the same ones; a run that was
killed goes on with those that are missing, and one whose sources changed makes those again that they belong to.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing.connection import wait
from pathlib import Path

from bedside.core.errors import BedsideError, DependencyError, FormatError, InputError, StorageError, WorkerError
from bedside.core.files import atomic_path, write_text_atomically
from bedside.data.objects import stable_generator
from bedside.data.prepare import CaseOrigin, case_items
from bedside.data.sources import Source, SourceCase, case_bytes, case_stamp, check_names
from bedside.data.store import FORMAT_VERSION, Item, write_part
from bedside.data.store_manifest import MANIFEST, SHARDS, Failure, Shard, StoredSet, StoreManifest, read_manifest

SHARD_MB = 16.0
"""Source files of a shard, in millions of bytes."""
LARGEST_SHARD = 1000
"""Cases of a shard at most."""
PACKING_VERSION = 1
"""Raised whenever the same sources would be packed to something else."""


@dataclass(frozen=True)
class ShardPlan:
    """A shard to be made.

    Attributes:
        name: See ``Shard``.
        source: Set of its cases, without them.
        cases: What goes into it.
        superpixels: Whether to make the reduced copies that carry superpixels.
        fingerprint: See ``Shard``.
    """

    name: str
    source: Source
    cases: tuple[SourceCase, ...]
    superpixels: bool
    fingerprint: str


def plan_shards(
    sources: Sequence[Source], *, shard_mb: float = SHARD_MB, superpixels: bool = True, seed: int = 0
) -> list[ShardPlan]:
    """Return the shards of a store. The cases of a set are shuffled, so that each shard is a fair part of its set.

    Raises:
        InputError: Two sets have one name, or two cases of a set.
    """
    check_names(sources)
    plans = []
    for source in sources:
        names = sorted(case.id for case in source.cases)
        for one, other in itertools.pairwise(names):
            if one == other:
                raise InputError(f"data set '{source.name}'", expected="cases with names of their own", got=one)
        for number, cases in enumerate(_groups(source, shard_mb * 1e6, seed)):
            plans.append(_plan(source, f"{source.name}-{number:05d}", cases, superpixels))
    return plans


def _groups(source: Source, most: float, seed: int) -> Iterator[tuple[SourceCase, ...]]:
    cases = sorted(source.cases, key=lambda case: case.id)
    order = stable_generator("shards", seed, source.name).permutation(len(cases))
    group: list[SourceCase] = []
    held = 0
    for number in order.tolist():
        size = case_bytes(cases[number])
        if group and (held + size > most or len(group) == LARGEST_SHARD):
            yield tuple(group)
            group, held = [], 0
        group.append(cases[number])
        held += size
    if group:
        yield tuple(group)


def _plan(source: Source, name: str, cases: tuple[SourceCase, ...], superpixels: bool) -> ShardPlan:
    bare = Source(source.name, source.origin, source.licence, source.label_kind, source.structures)
    # What names the set's licence and structures goes into the manifest alone, and changes no shard.
    decisive = [source.name, source.label_kind, superpixels, FORMAT_VERSION, PACKING_VERSION]
    decisive += [[case.id, case_stamp(case), _settings(case)] for case in cases]
    fingerprint = hashlib.sha256(json.dumps(decisive).encode()).hexdigest()
    return ShardPlan(name, bare, cases, superpixels, fingerprint)


def _settings(case: SourceCase) -> list[str]:
    """Return what else decides how a case is read."""
    return [type(case).__name__, *(str(getattr(case, name, None)) for name in ("modality", "series", "spacing_known"))]


def make_store(
    plans: Sequence[ShardPlan],
    folder: Path,
    *,
    jobs: int = 1,
    sources: Sequence[Source],
    advance: Callable[[str], None] = lambda _: None,
) -> StoreManifest:
    """Make the shards that ``folder`` lacks, then the manifest; what is there already is kept.

    A case that cannot be read is left out and named in the manifest; the next run tries it again.

    Args:
        plans: From ``plan_shards``.
        folder: Of the store.
        jobs: Processes.
        sources: What the plans were made of.
        advance: Called with the name of each shard that is there.

    Raises:
        InputError: Not one case can be read, or the folder is none for these sets, see ``check_folder``.
        StorageError: The disk is full.
        WorkerError: A process ended before its time.
    """
    check_folder(folder, sources)
    (folder / SHARDS).mkdir(parents=True, exist_ok=True)
    missing = [plan for plan in plans if not is_made(plan, folder)]
    for name in sorted({plan.name for plan in plans} - {plan.name for plan in missing}):
        advance(name)
    if jobs == 1 or len(missing) < 2:
        for plan in missing:
            advance(make_shard(plan, folder).name)
    else:
        _make_in_parallel(missing, folder, min(jobs, len(missing)), advance)
    shards = tuple(_read_record(folder, plan) for plan in sorted(plans, key=lambda plan: plan.name))
    if not any(shard.cases for shard in shards):
        failed = [failure for shard in shards for failure in shard.failed]
        raise InputError("sources", expected="a case that can be read", got=failed[0].message if failed else "none")
    manifest = StoreManifest(_describe(sources, shards), shards)
    write_text_atomically(folder / MANIFEST, manifest.to_json())
    kept = {shard.name for shard in shards}
    for path in (folder / SHARDS).glob("*.json"):
        # Those of an earlier plan; what has no record of ours was put there by somebody else.
        if path.stem not in kept and _is_record(path):
            path.with_suffix(".npz").unlink(missing_ok=True)
            path.unlink()
    return manifest


def check_folder(folder: Path, sources: Sequence[Source]) -> None:
    """Make sure that a folder is empty, new, or a store that has one of these sets.

    Raises:
        InputError: It holds something else, which would be lost or mixed up.
    """
    try:
        there = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{folder}", expected="a folder to write to", got=str(error)) from error
    wanted = "a new or empty folder, or the store of an earlier run"
    if MANIFEST in there:
        try:
            held = {s.name for s in read_manifest(folder).sets}
        except FormatError as error:
            raise InputError(f"{folder}", expected=wanted, got=f"a {MANIFEST} that is none of a store") from error
        if held and held.isdisjoint(source.name for source in sources):
            got = f"one of {', '.join(sorted(held))}"
            raise InputError(f"store {folder}", expected="one that has a set of the sources", got=got)
    elif there != [SHARDS] and there:
        raise InputError(f"{folder}", expected=wanted, got=f"a folder with {there[0]}")
    if (folder / SHARDS).exists() and not (folder / SHARDS).is_dir():
        raise InputError(f"{folder / SHARDS}", expected="a folder", got="a file")


def _is_record(path: Path) -> bool:
    try:
        return Shard.from_dict(json.loads(path.read_text(encoding="utf-8"))).name == path.stem
    except (OSError, ValueError, LookupError, TypeError):
        return False


def is_made(plan: ShardPlan, folder: Path) -> bool:
    """Return whether a shard is there, undamaged, of the same sources, and with all of its cases."""
    try:
        shard = _read_record(folder, plan)
        if shard.fingerprint != plan.fingerprint or shard.failed:
            return False
        return (folder / shard.file).stat().st_size == shard.bytes and _digest(folder / shard.file) == shard.sha256
    except (FormatError, OSError):
        return False


def make_shard(plan: ShardPlan, folder: Path) -> Shard:
    """Make one shard and the record of it.

    Raises:
        StorageError: The disk is full.
        DependencyError: scikit-image, which superpixels need, is not installed.
    """
    failed: list[Failure] = []
    counts = {"image": 0, "objects": 0, "superpixels": 0, "unpacked": 0}
    modalities, dimensions, spacings = set[str](), set[int](), list[float]()

    def counted() -> Iterator[Item]:
        for case in plan.cases:
            for item in _case_items(plan, case, failed):
                whole = item.info.variant == "image"
                counts["image"] += whole
                counts["objects" if whole else "superpixels"] += len(item.objects)
                counts["unpacked"] += item.image.nbytes + item.maps.nbytes + item.objects.nbytes
                modalities.add(item.info.modality)
                dimensions.add(item.axes)
                spacings.extend(item.info.spacing or () if whole else ())
                yield item

    target = folder / SHARDS / f"{plan.name}.npz"
    record = target.with_suffix(".json")
    record.unlink(missing_ok=True)
    with atomic_path(target) as temporary:
        write_part(temporary, counted(), compress=True)
        digest, size = _digest(temporary), temporary.stat().st_size
    shard = Shard(
        name=plan.name,
        set_name=plan.source.name,
        fingerprint=plan.fingerprint,
        sha256=digest,
        bytes=size,
        unpacked=counts["unpacked"],
        cases=counts["image"],
        objects=counts["objects"],
        superpixels=counts["superpixels"],
        modalities=tuple(sorted(modalities)),
        dimensions=tuple(sorted(dimensions)),
        spacing=(min(spacings), max(spacings)) if spacings else None,
        failed=tuple(failed),
    )
    write_text_atomically(record, json.dumps(asdict(shard), indent=1) + "\n")
    return shard


def _case_items(plan: ShardPlan, case: SourceCase, failed: list[Failure]) -> list[Item]:
    """Return what one case gives; nothing, and an entry in ``failed``, where it cannot be read."""
    try:
        image, labels, spacing, modality = case.read()
        origin = CaseOrigin(plan.source.name, case.id, modality, plan.source.label_kind)
        generator = stable_generator("superpixels", plan.source.name, case.id)
        return list(case_items(origin, image, labels, spacing, generator, superpixels=plan.superpixels))
    except BedsideError as error:
        if isinstance(error, StorageError | DependencyError):
            raise
        failed.append(Failure(case.id, str(error)))
        return []


def _make_in_parallel(plans: Sequence[ShardPlan], folder: Path, jobs: int, advance: Callable[[str], None]) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent) as pool:
        futures = [pool.submit(make_shard, plan, folder) for plan in plans]
        try:
            for future in as_completed(futures):
                advance(future.result().name)
        except BedsideError:
            raise
        except Exception as error:
            got = f"{type(error).__name__}: {error}"
            fix = "run it again with fewer --jobs: it goes on with the shards that are missing"
            raise WorkerError("a process that packs shards ended", got=got[:200], fix=fix) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    """End this process when the one that started it is killed, instead of waiting for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent.sentinel,), daemon=True).start()


def _end_after(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _read_record(folder: Path, plan: ShardPlan) -> Shard:
    path = folder / SHARDS / f"{plan.name}.json"
    try:
        return Shard.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise FormatError(f"{path}", expected="the record of a shard", got=f"{error}"[:200]) from error


def _describe(sources: Sequence[Source], shards: Sequence[Shard]) -> tuple[StoredSet, ...]:
    sets = []
    for source in sorted(sources, key=lambda s: s.name):
        own = [shard for shard in shards if shard.set_name == source.name]
        spacings = [s for shard in own for s in shard.spacing or ()]
        sets.append(
            StoredSet(
                name=source.name,
                source=source.origin,
                licence=source.licence,
                label_kind=source.label_kind,
                structures=dict(source.structures),
                modalities=tuple(sorted({m for shard in own for m in shard.modalities})),
                dimensions=tuple(sorted({d for shard in own for d in shard.dimensions})),
                spacing=(min(spacings), max(spacings)) if spacings else None,
                cases=sum(shard.cases for shard in own),
                objects=sum(shard.objects for shard in own),
                superpixels=sum(shard.superpixels for shard in own),
            )
        )
    return tuple(sets)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""Fetching series into folders, going on where it stopped; and storing files that are not there yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bedside.archive.contract import Archive, Query, Series
from bedside.archive.places import SeriesFolder
from bedside.archive.retries import Backoff
from bedside.core.errors import ArchiveError, InputError, UnreachableError

Advance = Callable[[int, int], None]
"""Told of progress: how many are done, and how many there will be."""


@dataclass(frozen=True)
class Fetched:
    """A series that was fetched.

    Attributes:
        series: Which.
        folder: Where its files lie.
        fetched: How many came now.
        kept: How many were there already.
    """

    series: Series
    folder: Path
    fetched: int
    kept: int


@dataclass(frozen=True)
class Sent:
    """What a store did.

    Attributes:
        stored: Files that were sent.
        kept: Files whose instances the archive had already.
    """

    stored: int
    kept: int


def find_wanted(archive: Archive, query: Query, backoff: Backoff) -> list[Series]:
    """Return the series that a query means, of all studies that it fits.

    Raises:
        InputError: The query names nothing, so that it would mean the whole archive.
        ArchiveError: Nothing fits.
    """
    if not query.is_narrow:
        raise InputError(
            "what to fetch", expected="--study, --patient-id, --patient or --accession", got="nothing that narrows it"
        )
    studies = backoff.run(lambda: archive.find_studies(query))
    found: list[Series] = []
    for study in studies:
        inner = Query(study=study.uid, series=query.series, modality=query.modality)
        found += backoff.run(partial(archive.find_series, inner))
    if not found:
        raise nothing_found("series" if studies else "study")
    return found


def nothing_found(what: str) -> ArchiveError:
    """Return the error that says that the archive holds no such thing."""
    return ArchiveError(f"no {what} was found", expected="one that fits the query", fix="see: bedside pacs find")


def fetch_series(
    archive: Archive, series: Series, root: Path, backoff: Backoff, advance: Advance | None = None
) -> Fetched:
    """Fetch the instances of a series that are not there yet.

    Args:
        archive: Where they are.
        series: Which.
        root: Folder in which the series has its folder.
        backoff: How often it is tried again.
        advance: Told of the progress.

    Raises:
        ArchiveError: The archive holds none, or does not send all; what came is kept.
        OSError: The disk is full. No file is torn.
    """
    instances = backoff.run(lambda: archive.find_instances(series))
    if not instances:
        raise nothing_found("instance of the series")
    folder = SeriesFolder(root, series.uid, series.modality, series.number)
    folder.tidy()
    wanted = {instance.uid for instance in instances}
    before = sum(folder.holds(uid) for uid in wanted)
    done = before

    def keep(uid: str, content: bytes) -> None:
        nonlocal done
        if uid not in wanted:
            raise ArchiveError("the PACS sent an instance that was not asked for")
        if folder.holds(uid):
            return
        folder.keep(uid, content)
        done += 1
        if advance is not None:
            advance(done, len(wanted))

    def retrieve() -> None:
        missing = [instance for instance in instances if not folder.holds(instance.uid)]
        if missing:
            archive.retrieve(series, missing, keep, whole=len(missing) == len(instances))
        if done < len(wanted):
            raise UnreachableError(
                "the PACS did not send all of the series",
                expected=f"{len(wanted)} instances",
                got=done,
                fix="run it again: what came is kept",
            )

    if advance is not None:
        advance(done, len(wanted))
    backoff.run(retrieve, progress=lambda: done)
    return Fetched(series, folder.path, done - before, before)


def store_files(
    archive: Archive, files: Sequence[Path], backoff: Backoff, advance: Advance | None = None, *, again: bool = False
) -> Sent:
    """Store files whose instances the archive does not hold yet.

    Args:
        archive: Where to.
        files: DICOM files.
        backoff: How often it is tried again.
        advance: Told of the progress.
        again: Send those that the archive holds already, too.

    Raises:
        InputError: A file is no DICOM file with its UIDs.
        ArchiveError: The archive does not take one; those before it are stored.
    """
    held = set() if again else _held(archive, files, backoff)
    left = [file for file in files if file not in held]

    def stored(file: Path) -> None:
        left.remove(file)
        if advance is not None:
            advance(len(files) - len(left), len(files))

    if advance is not None:
        advance(len(held), len(files))
    backoff.run(lambda: archive.store(tuple(left), stored), progress=lambda: -len(left))
    return Sent(len(files) - len(held), len(held))


def _held(archive: Archive, files: Sequence[Path], backoff: Backoff) -> set[Path]:
    """Return the files whose instances the archive holds."""
    by_series: dict[Series, dict[str, Path]] = {}
    for file in files:
        study, series, uid = uids_of(file)
        by_series.setdefault(Series(study, series), {})[uid] = file
    held = set()
    for wanted, known in by_series.items():
        there = backoff.run(partial(archive.find_instances, wanted))
        held |= {known[instance.uid] for instance in there if instance.uid in known}
    return held


def uids_of(file: Path) -> tuple[str, str, str]:
    """Return the UIDs of study, series and instance of a file.

    Raises:
        InputError: It is no DICOM file, or one is missing.
    """
    from pydicom import dcmread

    from bedside.archive.hush import hushed

    keywords = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"]
    try:
        with hushed():
            header = dcmread(file, stop_before_pixels=True, specific_tags=keywords)
            study, series, uid = (str(header[keyword].value) for keyword in keywords)
    except OSError:
        raise
    # pydicom fails in many ways on what is no DICOM.
    except Exception as error:
        raise InputError(f"{file}", expected="a DICOM file with its UIDs", got="something else") from error
    return study, series, uid

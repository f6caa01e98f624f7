"""What a store is packed from: datasets with a card, cases of the challenges, and images with label files beside them.

All give cases of one form, which say where their files lie and are read in whatever process packs them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError, InputError
from bedside.core.image import Image
from bedside.data.catalogue import Case, LabelKind
from bedside.data.pairs import Pair
from bedside.data.prepare import MAXIMUM_LABEL, load_case, spacing_is_known, training_sets

NOT_STATED = "not stated"
UNKNOWN = "unknown"
INT16 = (-32768, 32767)

ReadCase = tuple[NDArray[Any], NDArray[np.uint16], tuple[float, ...] | None, str]
"""Image, labels, spacing (mm, array order, None where unknown), modality."""


class SourceCase(Protocol):
    """An image with its labels that was not read yet."""

    @property
    def id(self) -> str:
        """Name within its set."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """What it is read from: files, or folders of DICOM files."""
        ...

    def read(self) -> ReadCase:
        """Return its arrays.

        Raises:
            BedsideError: It cannot be read, or is no image with labels.
        """
        ...


@dataclass(frozen=True)
class Source:
    """A dataset to be packed.

    Attributes:
        name: Unique in the store.
        origin: The folder, as it was named.
        licence: Of the images.
        label_kind: Meaning of the label values.
        structures: Name of each label value, where they are known.
        cases: Sorted by their ids.
    """

    name: str
    origin: str
    licence: str
    label_kind: LabelKind
    structures: Mapping[str, str] = field(default_factory=dict)
    cases: tuple[SourceCase, ...] = ()


@dataclass(frozen=True)
class CardCase:
    """A case of a set that has a card (``set.json``)."""

    case: Case
    spacing_known: bool

    @property
    def id(self) -> str:
        """See ``SourceCase``."""
        return self.case.id

    @property
    def files(self) -> tuple[Path, ...]:
        """See ``SourceCase``."""
        return (self.case.image_path, self.case.labels_path)

    def read(self) -> ReadCase:
        """See ``SourceCase``."""
        return (*load_case(self.case, known=self.spacing_known), self.case.modality)


@dataclass(frozen=True)
class ChallengeFile:
    """A case of either challenge (.npz) with its truth.

    Attributes:
        path: Of the file.
        modality: Instead of the one that its name tells; None for that.
    """

    path: Path
    modality: str | None = None

    @property
    def id(self) -> str:
        """See ``SourceCase``."""
        return self.path.stem

    @property
    def files(self) -> tuple[Path, ...]:
        """See ``SourceCase``."""
        return (self.path,)

    def read(self) -> ReadCase:
        """See ``SourceCase``."""
        from bedside.io.challenge import read_case

        case = read_case(self.path)
        if case.ground_truth is None:
            raise FormatError(f"{self.path}", expected="labels in 'gts'", got="none")
        return _arrays(case.image, case.ground_truth, self.modality, str(self.path))


@dataclass(frozen=True)
class PairedFiles:
    """An image and its label file, in any format that Bedside reads.

    Attributes:
        pair: Where they lie.
        modality: Instead of the one that the image tells; None for that.
        series: Which DICOM series; None for the only one.
    """

    pair: Pair
    modality: str | None = None
    series: str | None = None

    @property
    def id(self) -> str:
        """See ``SourceCase``."""
        return self.pair.name

    @property
    def files(self) -> tuple[Path, ...]:
        """See ``SourceCase``."""
        return (self.pair.image, self.pair.labels)

    def read(self) -> ReadCase:
        """See ``SourceCase``."""
        image, labels = self.pair.load(series=self.series)
        return _arrays(image, labels, self.modality, str(self.pair.image))


def find_sources(folder: Path, *, name: str | None, licence: str | None, modality: str | None) -> list[Source]:
    """Return what a folder holds: datasets with a card that may be trained on, or cases of the challenges.

    Args:
        folder: See ``prepare.training_sets``; or a folder of .npz files with ``imgs`` and ``gts``.
        name: Of the set of challenge cases; by default the folder's.
        licence: Of challenge cases; cards state their own.
        modality: Of challenge cases, instead of what their names tell.

    Raises:
        InputError: There is no such folder, nothing in it, or a set that is kept for measuring.
        FormatError: A card cannot be understood.
    """
    files = sorted(folder.glob("*.npz")) if folder.is_dir() else []
    if files:
        cases = tuple(ChallengeFile(path, modality) for path in files)
        return [Source(name or folder.resolve().name, str(folder), licence or NOT_STATED, "semantic", {}, cases)]
    return [
        Source(
            found.name,
            str(folder),
            found.licence,
            found.label_kind,
            {str(value): structure for value, structure in found.structures.items()},
            tuple(CardCase(case, spacing_is_known(found.details, case.id)) for case in found.cases),
        )
        for found in training_sets(folder)
    ]


def pair_source(
    pairs: Iterable[Pair],
    name: str,
    origin: str,
    *,
    licence: str | None = None,
    modality: str | None = None,
    label_kind: Literal["semantic", "instance"] = "semantic",
    structures: Mapping[str, str] | None = None,
    series: str | None = None,
) -> Source:
    """Return a set of images with label files; see ``Source`` and ``PairedFiles``."""
    cases = tuple(PairedFiles(pair, modality, series) for pair in pairs)
    return Source(name, origin, licence or NOT_STATED, label_kind, dict(structures or {}), cases)


def check_names(sources: Iterable[Source]) -> None:
    """Reject sets of one name, and names that cannot be those of files.

    Raises:
        InputError: There are.
    """
    seen: set[str] = set()
    for source in sources:
        if source.name in seen:
            raise InputError(f"data set '{source.name}'", expected="one of this name", got="two", fix="use --data-set")
        if not source.name or any(c in source.name for c in '/\\:*?"<>|\0') or source.name.startswith("."):
            raise InputError("name of a data set", expected="one that files may have", got=repr(source.name))
        seen.add(source.name)


def case_stamp(case: SourceCase) -> str:
    """Return a checksum of the names, sizes and times of a case's files: another where one of them changed."""
    digest = hashlib.sha256()
    for path in case.files:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file():
                status = file.stat()
                digest.update(f"{file.name}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def case_bytes(case: SourceCase) -> int:
    """Return bytes of a case's files."""
    files = [f for path in case.files for f in (path.rglob("*") if path.is_dir() else [path])]
    return sum(file.stat().st_size for file in files if file.is_file())


def _arrays(image: Image, labels: NDArray[Any], modality: str | None, name: str) -> ReadCase:
    if labels.min() < 0 or labels.max() > MAXIMUM_LABEL:
        raise FormatError(f"labels of {name}", expected=f"whole numbers from 0 to {MAXIMUM_LABEL}")
    array, geometry = image.array, image.geometry
    if array.dtype.kind in "iub" and array.size and array.min() >= INT16[0] and array.max() <= INT16[1]:
        array = array.astype(np.uint8 if array.dtype in (np.uint8, np.bool_) else np.int16)
    else:
        array = np.nan_to_num(array.astype(np.float32))
    spacing = tuple(float(s) for s in geometry.spacing[::-1]) if geometry.spacing_known else None
    return array, labels.astype(np.uint16), spacing, modality or image.modality or UNKNOWN

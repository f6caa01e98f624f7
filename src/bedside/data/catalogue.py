"""Which labelled images a data folder holds: sets of cases, read from their ``set.json`` files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bedside.core.errors import FormatError, InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bedside.core.image import Image

LabelKind = Literal["semantic", "instance"]
"""Whether a label value means the same structure in every case, or numbers the objects of one case."""

SET_FILE = "set.json"
IMAGE_SUFFIXES = (".image.png", ".image.nii.gz")
DEEPEST_SET = 3
"""Folders between the root and a set: split, dimensions, set."""


@dataclass(frozen=True, eq=False)
class LabelledImage:
    """A case that was read.

    Attributes:
        image: (y, x), (y, x, 3) or (z, y, x). Where the source states no spacing its geometry says so.
        labels: Unsigned integers of the image's spatial shape, 0 where there is no object.
    """

    image: Image
    labels: NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class Case:
    """One image and its label map.

    Attributes:
        set_name: Set that it belongs to.
        id: Name within the set.
        modality: As the set states it.
        spacing_known: False where the spacing in the file is nominal and must not be used as millimetres.
        spacing: What the set states of an image whose file holds no spacing: mm, (y, x).
    """

    set_name: str
    id: str
    image_path: Path
    labels_path: Path
    modality: str = "unknown"
    spacing_known: bool = True
    spacing: tuple[float, ...] | None = None

    def load(self) -> LabelledImage:
        """Read image and labels.

        Raises:
            FormatError: A file cannot be read, or the two do not lie on one grid.
        """
        from bedside.io import read_image, read_mask

        image = replace(read_image(self.image_path), modality=self.modality)
        if self.spacing is not None or not self.spacing_known:
            spacing = self.spacing[::-1] if self.spacing is not None else (1.0,) * image.ndim
            geometry = replace(image.geometry, spacing=spacing, spacing_known=self.spacing is not None)
            image = replace(image, geometry=geometry)
        labels = read_mask(self.labels_path).array
        if labels.shape != image.shape:
            raise FormatError(f"labels {self.labels_path}", expected=f"shape {image.shape}", got=labels.shape)
        return LabelledImage(image, labels)


@dataclass(frozen=True)
class DataSet:
    """Cases of one source, of one kind of image and with labels of one meaning.

    Attributes:
        name: Unique within a split.
        split: "train", "val", or "" where the set does not say.
        dimensions: 2 for images, 3 for volumes.
        structures: Name of each label value; empty for instances.
        licence: Licence of the images.
        cases: Sorted by their ids.
        details: Everything else in ``set.json``.
    """

    name: str
    split: str
    dimensions: int
    modality: str
    label_kind: LabelKind
    structures: Mapping[int, str]
    licence: str
    cases: tuple[Case, ...]
    folder: Path
    details: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


def find_data_sets(folder: str | Path) -> list[DataSet]:
    """Return every dataset in ``folder``, sorted by split, dimensions and name.

    Args:
        folder: The root that holds ``train`` and ``val``, one of those, or the folder of a single set.

    Raises:
        InputError: There is no such folder, or no set in it.
        FormatError: A ``set.json`` cannot be understood, or a set has no case.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError("data folder", expected="an existing folder", got=str(root))
    found = [path for depth in range(DEEPEST_SET + 1) for path in root.glob("*/" * depth + SET_FILE)]
    if not found:
        raise InputError(
            "data folder",
            expected=f"data sets, each a folder with {SET_FILE}, at most {DEEPEST_SET} folders down",
            got=f"none in {root}",
        )
    return sorted((_read_set(path) for path in found), key=lambda s: (s.split, s.dimensions, s.name))


def select_data_sets(sets: Iterable[DataSet], names: Iterable[str]) -> list[DataSet]:
    """Return the sets called ``names``, in the order of ``sets``; all of them where no name is given.

    Raises:
        InputError: A name is of none of them.
    """
    available, wanted = list(sets), list(names)
    unknown = sorted(set(wanted) - {s.name for s in available})
    if unknown:
        raise InputError("data set", expected=f"one of {', '.join(s.name for s in available)}", got=", ".join(unknown))
    return [s for s in available if not wanted or s.name in wanted]


def _read_set(path: Path) -> DataSet:
    try:
        card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        dimensions = {"2d": 2, "3d": 3}[str(card["dim"])]
        label_kind = card["label_kind"]
        if label_kind not in ("semantic", "instance"):
            raise ValueError(f"label_kind {label_kind!r}")
        name, modality = str(card["name"]), str(card.get("modality", "unknown"))
        # A set of volumes states whether its spacing is true; image files hold none that could be trusted.
        spacing_known = dimensions == 3 and bool(card.get("spacing_known", True))
        spacings = _stated_spacings(card) if dimensions == 2 else {}
        structures = {} if label_kind == "instance" else {int(k): str(v) for k, v in card["structures"].items()}
    except (OSError, LookupError, ValueError, TypeError, AttributeError) as error:
        got = f"{type(error).__name__}: {error}"
        raise FormatError(f"{path}", expected="a data set's name, dim, label_kind and structures", got=got) from error
    return DataSet(
        name=name,
        split=str(card.get("split", "")),
        dimensions=dimensions,
        modality=modality,
        label_kind=label_kind,
        structures=structures,
        licence=str(card.get("licence", "not stated")),
        cases=_find_cases(path.parent, name, modality, spacing_known, spacings),
        folder=path.parent,
        details=card,
    )


def _stated_spacings(card: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """Return spacing (y, x) in mm of the images of which the set states it, by case."""
    stated = {case["id"]: case.get("spacing_mm") for case in card.get("cases", ())}
    return {name: (float(s[0]), float(s[1])) for name, s in stated.items() if s is not None}


def _find_cases(
    folder: Path, set_name: str, modality: str, spacing_known: bool, spacings: Mapping[str, tuple[float, ...]]
) -> tuple[Case, ...]:
    cases = []
    for suffix in IMAGE_SUFFIXES:
        for image_path in folder.glob(f"*{suffix}"):
            name = image_path.name.removesuffix(suffix)
            labels_path = image_path.with_name(name + suffix.replace(".image.", ".labels."))
            if not labels_path.is_file():
                raise FormatError(f"{image_path}", expected=f"its labels in {labels_path.name}", got="no such file")
            cases.append(Case(set_name, name, image_path, labels_path, modality, spacing_known, spacings.get(name)))
    if not cases:
        raise FormatError(f"data set {folder}", expected=f"files called *{' or *'.join(IMAGE_SUFFIXES)}", got="none")
    return tuple(sorted(cases, key=lambda case: case.id))

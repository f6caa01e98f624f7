"""From a folder of images with label maps to the packed training store.

Needs nibabel, Pillow and scikit-image; training itself does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from bedside.core.errors import DependencyError, FormatError, InputError
from bedside.data.catalogue import Case, DataSet, LabelKind, find_data_sets, select_data_sets
from bedside.data.store import Item, ItemInfo, write_store
from bedside.data.supervoxels import reduce_volume, supervoxel_maps

MINIMUM_SIZE = 16
"""Objects of fewer pixels or voxels are left out: at training resolution nothing of them is left."""
SUPERPIXEL_SIDE = 320
"""Longest side of the reduced copies that carry superpixels."""
SUPERPIXEL_SCALES = (60.0, 200.0, 600.0)
"""Felzenszwalb scales, small to large regions."""
SUPERPIXEL_SLICES = 3
"""Slices of each volume that get superpixels, one along each axis."""
MAXIMUM_LABEL = 65_535
TRAINING_SPLITS = ("train", "")
"""Splits that may be trained on; "" where a set does not say."""


def prepare_store(
    data: Path, folder: Path, *, seed: int = 0, sets: Sequence[str] | None = None, report: Callable[[str], None] = print
) -> list[Path]:
    """Pack the datasets of ``data`` into a store in ``folder``; the same files always give the same store.

    Args:
        data: Folder of datasets, see ``training_sets``.
        folder: Where the parts go.
        seed: Chooses the slices that get superpixels.
        sets: Names of the sets to take, all by default.
        report: Called with one line a set.

    Raises:
        InputError: There is no such dataset, or one that must not be trained on.
        FormatError: A file cannot be read.
        DependencyError: scikit-image is not installed.
    """
    found = select_data_sets(training_sets(data), sets or [])
    generator = np.random.default_rng(seed)

    def items() -> Iterator[Item]:
        for number, data_set in enumerate(found, start=1):
            count = 0
            for item in _set_items(data_set, generator):
                count += len(item.objects)
                yield item
            report(f"packed {data_set.name} ({number} of {len(found)}): {count} objects")

    return write_store(folder, items())


def training_sets(data: Path) -> list[DataSet]:
    """Return the datasets of ``data`` that may be trained on, sorted by their folders.

    Args:
        data: Folder of datasets. Where it has a folder ``train``, only that one counts.

    Raises:
        InputError: There is no such folder, no set in it, or one that is kept for measuring.
        FormatError: A ``set.json`` cannot be understood, or a set has no case.
    """
    inner = data / "train"
    sets = find_data_sets(inner if inner.is_dir() else data)
    for data_set in sets:
        if data_set.split not in TRAINING_SPLITS:
            raise InputError(
                f"data set '{data_set.name}'", expected="the split train", got=f"{data_set.split}, kept for measuring"
            )
    return sorted(sets, key=lambda s: s.folder)


def _set_items(data_set: DataSet, generator: np.random.Generator) -> Iterator[Item]:
    for case in sorted(data_set.cases, key=lambda c: c.labels_path):
        image, labels, spacing = load_case(case, known=spacing_is_known(data_set.details, case.id))
        origin = CaseOrigin(data_set.name, case.id, data_set.modality, data_set.label_kind)
        yield from case_items(origin, image, labels, spacing, generator)


@dataclass(frozen=True)
class CaseOrigin:
    """What a case is, beside its arrays.

    Attributes:
        set_name: Dataset that it belongs to.
        id: Name within the set.
        modality: As the set or the case states it.
        label_kind: Meaning of the label values.
    """

    set_name: str
    id: str
    modality: str
    label_kind: LabelKind


def case_items(
    origin: CaseOrigin,
    image: NDArray[Any],
    labels: NDArray[np.uint16],
    spacing: tuple[float, ...] | None,
    generator: np.random.Generator,
    *,
    superpixels: bool = True,
) -> Iterator[Item]:
    """Yield what a store holds of one case: the case itself, and reduced copies that carry superpixels or supervoxels.

    Args:
        origin: What it is.
        image: (y, x), (y, x, 3) or (z, y, x), uint8, int16 or float32.
        labels: Of the image's spatial shape.
        spacing: mm in array order, or None where unknown.
        generator: Draws the slices that get superpixels.
        superpixels: Whether to make reduced copies.

    Raises:
        DependencyError: scikit-image, which superpixels need, is not installed.
    """
    name = f"{origin.set_name}/{origin.id}"
    maps, kinds = _object_maps(labels, origin.label_kind)
    info = ItemInfo(name, origin.set_name, "image", origin.modality, spacing, kinds)
    yield Item(info, image, maps, object_table(maps))
    if not superpixels:
        return
    for number, (plane, plane_spacing) in enumerate(_planes(image, labels, spacing, generator)):
        reduced, scale = _reduce(plane, SUPERPIXEL_SIDE)
        made = superpixel_maps(reduced)
        info = ItemInfo(
            f"{name}#{number}",
            origin.set_name,
            "superpixel",
            origin.modality,
            tuple(s * scale for s in plane_spacing) if plane_spacing else None,
            ("superpixel",) * len(made),
        )
        yield Item(info, reduced, made, object_table(made))
    if labels.ndim == 3:
        yield _supervoxel_item(name, origin, image, spacing)


def _supervoxel_item(name: str, origin: CaseOrigin, image: NDArray[Any], spacing: tuple[float, ...] | None) -> Item:
    """Return a reduced copy of a volume that carries supervoxels."""
    reduced, reduced_spacing = reduce_volume(image, spacing)
    maps = supervoxel_maps(reduced, reduced_spacing)
    kinds = ("supervoxel",) * len(maps)
    info = ItemInfo(f"{name}#volume", origin.set_name, "supervoxel", origin.modality, reduced_spacing, kinds)
    return Item(info, reduced, maps, object_table(maps))


def spacing_is_known(description: Mapping[str, Any], case: str) -> bool:
    """Return whether the set states a spacing for the case; volumes do unless the set says that it is not known."""
    if not description.get("spacing_known", True):
        return False
    for entry in description.get("cases", []):
        if entry.get("id") == case and "spacing_mm" in entry:
            return entry["spacing_mm"] is not None
    return True


def load_case(case: Case, *, known: bool) -> tuple[NDArray[Any], NDArray[np.uint16], tuple[float, ...] | None]:
    """Return image, labels and spacing (array order, None where it is not ``known``) of a case, as its files lie.

    Raises:
        FormatError: A file cannot be read, or the two do not fit together.
    """
    try:
        image, labels, spacing = (_load_png if case.image_path.suffix == ".png" else _load_nifti)(case)
    except (OSError, ValueError, EOFError) as error:
        raise FormatError(f"case {case.image_path}", expected="readable files", got=str(error)) from error
    if labels.shape != image.shape[: labels.ndim] or image.ndim - labels.ndim > 1 or labels.ndim not in (2, 3):
        raise FormatError(f"labels {case.labels_path}", expected=f"shape {image.shape}", got=labels.shape)
    if labels.dtype.kind not in "bui" or labels.min() < 0 or labels.max() > MAXIMUM_LABEL:
        raise FormatError(f"labels {case.labels_path}", expected=f"whole numbers from 0 to {MAXIMUM_LABEL}")
    return image, labels.astype(np.uint16), spacing if known else None


def _load_png(case: Case) -> tuple[NDArray[Any], NDArray[Any], None]:
    from PIL import Image as Picture

    with Picture.open(case.image_path) as picture, Picture.open(case.labels_path) as labels:
        # Palettes, transparency and the like become colours; grey of any depth stays as it is.
        image = picture if picture.mode in ("L", "RGB") or picture.mode.startswith("I") else picture.convert("RGB")
        if len(labels.getbands()) > 1:
            raise ValueError(f"labels in colour: {case.labels_path.name}")
        return np.asarray(image), np.asarray(labels), None


def _load_nifti(case: Case) -> tuple[NDArray[Any], NDArray[Any], tuple[float, ...]]:
    import nibabel

    volume: Any = nibabel.load(case.image_path)
    array = np.asarray(volume.dataobj).T
    if array.dtype.kind == "f" or array.min() < -32768 or array.max() > 32767:
        array = np.nan_to_num(array.astype(np.float32))
    else:
        array = array.astype(np.int16)
    label_volume: Any = nibabel.load(case.labels_path)
    labels = np.asarray(label_volume.dataobj).T
    if labels.dtype.kind == "f" and np.array_equal(labels, np.round(labels)):
        labels = labels.astype(np.int64)
    return array, labels, tuple(float(s) for s in volume.header.get_zooms()[:3])[::-1]


def _object_maps(labels: NDArray[np.uint16], label_kind: str) -> tuple[NDArray[np.uint16], tuple[str, ...]]:
    """Return the label map, and for semantic labels a second map that numbers the connected parts of every value."""
    if label_kind == "instance":
        return labels[None], ("instance",)
    parts = np.zeros(labels.shape, dtype=np.uint16)
    count, divided = 0, False
    for value in np.unique(labels[labels > 0]):
        numbered, found = ndimage.label(labels == value, structure=np.ones((3,) * labels.ndim))
        if count + found > MAXIMUM_LABEL:
            break
        inside = numbered > 0
        parts[inside] = (numbered[inside] + count).astype(np.uint16)
        count += found
        divided |= found > 1
    return (np.stack([labels, parts]), ("label", "part")) if divided else (labels[None], ("label",))


def object_table(maps: NDArray[np.uint16]) -> NDArray[np.int32]:
    """Return one row an object of at least ``MINIMUM_SIZE`` samples: map, value, size, start and stop on each axis."""
    rows = []
    for number, values in enumerate(maps):
        sizes = np.bincount(values.ravel())
        for value, slices in enumerate(ndimage.find_objects(values.astype(np.int32)), start=1):
            if slices is not None and sizes[value] >= MINIMUM_SIZE:
                starts = [s.start for s in slices]
                rows.append([number, value, int(sizes[value]), *starts, *[s.stop for s in slices]])
    return np.array(rows, dtype=np.int32).reshape(len(rows), 3 + 2 * (maps.ndim - 1))


def _planes(
    image: NDArray[Any], labels: NDArray[np.uint16], spacing: tuple[float, ...] | None, generator: np.random.Generator
) -> Iterator[tuple[NDArray[Any], tuple[float, ...] | None]]:
    """Yield the image itself, or one slice of a volume along each axis, drawn from its middle half."""
    if labels.ndim == 2:
        yield image, spacing
        return
    for axis in range(SUPERPIXEL_SLICES):
        size = image.shape[axis]
        index = int(generator.integers(size // 4, size - size // 4))
        plane = np.take(image, index, axis=axis)
        if min(plane.shape) >= 24:
            yield plane, tuple(s for a, s in enumerate(spacing) if a != axis) if spacing else None


def _reduce(plane: NDArray[Any], longest: int) -> tuple[NDArray[Any], float]:
    """Return a copy whose longest side is at most ``longest``, and the factor by which its pixels grew."""
    scale = max(plane.shape[:2]) / longest
    if scale <= 1:
        return plane, 1.0
    zoom = (1 / scale, 1 / scale) + (1,) * (plane.ndim - 2)
    smooth = ndimage.gaussian_filter(plane.astype(np.float32), [scale / 3, scale / 3] + [0] * (plane.ndim - 2))
    return ndimage.zoom(smooth, zoom, order=1).astype(plane.dtype), scale


def superpixel_maps(plane: NDArray[Any]) -> NDArray[np.uint16]:
    """Return Felzenszwalb's graph-based segmentation at several scales: objects nobody labelled.

    Args:
        plane: (y, x) or (y, x, 3), any range.

    Returns:
        uint16 (scales, y, x), values from 1 on.

    Raises:
        DependencyError: scikit-image is not installed.
    """
    try:
        from skimage.segmentation import felzenszwalb
    except ModuleNotFoundError as error:
        raise DependencyError(
            "superpixels need scikit-image", fix="install it with: pip install 'bedside[train]'"
        ) from error
    values = plane.astype(np.float32)
    low, high = np.percentile(values, (1, 99))
    values = np.clip((values - low) / max(float(high - low), 1e-6), 0, 1)
    channel_axis = -1 if plane.ndim == 3 else None
    maps = [
        felzenszwalb(values, scale=scale, sigma=0.8, min_size=MINIMUM_SIZE * 3, channel_axis=channel_axis) + 1
        for scale in SUPERPIXEL_SCALES
    ]
    return np.asarray(np.clip(np.stack(maps), 0, MAXIMUM_LABEL), dtype=np.uint16)

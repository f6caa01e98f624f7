"""Reading and writing through ITK, for the formats whose geometry it keeps as Bedside does (LPS)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io.quiet import silent_stderr
from bedside.io.registry import ReadOptions
from bedside.io.samples import pick_volume, storable

_HEADER_BYTES = 65536


@dataclass(frozen=True)
class Calibration:
    """What a header says of lengths beyond what ITK takes from it.

    Attributes:
        known: Whether it states the spacing.
        scale: Millimetres of its unit along x, y and z.
    """

    known: bool
    scale: tuple[float, ...] = (1.0, 1.0, 1.0)


class _Buffer:
    """Lends the samples of an ITK image to NumPy and keeps the image alive, so that nothing is copied."""

    def __init__(self, image: Any) -> None:
        import SimpleITK as sitk  # noqa: N813 - the name that all its users know

        interface = dict(sitk.GetArrayViewFromImage(image).__array_interface__)
        # The view is read-only because ITK may share images; this one is ours alone.
        interface["data"] = (interface["data"][0], False)
        self._image = image
        self.__array_interface__ = interface


def array_of(image: Any) -> NDArray[Any]:
    """Return the samples of an ITK image (z, y, x[, component]) without a copy."""
    return np.asarray(_Buffer(image))


def header_text(path: Path) -> str:
    """Return the beginning of a file with a header of text."""
    with path.open("rb") as file:
        return file.read(_HEADER_BYTES).decode("latin-1")


def uncalibrated(_: str, __: int) -> Calibration:
    """Return what a header says that never states a spacing."""
    return Calibration(known=False)


def read_itk(
    path: Path, options: ReadOptions, image_io: str, calibration: Callable[[str, int], Calibration] = uncalibrated
) -> Image:
    """Return an image read by one of ITK's readers.

    Args:
        path: The file.
        options: ``volume`` picks one of the volumes of a 4D file or one component of a volume of vectors.
        image_io: ITK's name of the reader, so that the content decides nothing.
        calibration: What the text of the header says of lengths, given it and the number of axes.

    Raises:
        FormatError: Several volumes and none chosen, or fewer than two or more than four axes.
    """
    import SimpleITK as sitk  # noqa: N813 - the name that all its users know

    reader = sitk.ImageFileReader()
    reader.SetImageIO(image_io)
    reader.SetFileName(str(path))
    with silent_stderr():
        reader.ReadImageInformation()
        axes, components = reader.GetDimension(), reader.GetNumberOfComponents()
        if axes not in (2, 3, 4):
            raise FormatError(f"{path}", expected="2 to 4 axes", got=axes)
        colour = axes == 2 and components in (3, 4)
        if axes == 4:
            size = reader.GetSize()
            index = pick_volume(path, size[3], options.volume, f"volumes (4D, shape {size})")
            reader.SetExtractSize([*size[:3], 0])
            reader.SetExtractIndex([0, 0, 0, index])
        image = reader.Execute()
    if components > 1 and not colour:
        index = pick_volume(path, components, options.volume, f"components in every voxel of {axes} axes")
        image = sitk.VectorIndexSelectionCast(image, index)
    elif axes < 4:
        pick_volume(path, 1, options.volume)
    geometry = _geometry(image, calibration(header_text(path), axes))
    return Image(array_of(image)[..., :3] if colour else array_of(image), geometry)


def _geometry(image: Any, calibration: Calibration) -> Geometry:
    axes = image.GetDimension()
    direction = np.reshape(image.GetDirection(), (axes, axes))
    # The unit belongs to the axes of the world, along which the columns of the directions are measured.
    scale = np.asarray(calibration.scale[:axes])
    columns = direction * np.asarray(image.GetSpacing()) * scale[:, None]
    spacing = np.linalg.norm(columns, axis=0)
    if np.all(scale == 1):
        columns, spacing = direction * np.asarray(image.GetSpacing()), np.asarray(image.GetSpacing())
    return Geometry(
        shape=tuple(image.GetSize()[::-1]),
        spacing=tuple(float(s) for s in spacing),
        origin=tuple(float(v) for v in np.asarray(image.GetOrigin()) * scale),
        direction=tuple(map(tuple, (columns / spacing if np.any(scale != 1) else direction).tolist())),
        spacing_known=calibration.known,
    )


def write_itk(path: Path, image: Image, image_io: str, keys: Mapping[str, str] | None = None) -> None:
    """Write an image with one of ITK's writers, compressed, with further ``keys`` in its header."""
    import SimpleITK as sitk  # noqa: N813 - the name that all its users know

    geometry = _for_itk(image.geometry)
    file = sitk.GetImageFromArray(storable(image.array), isVector=image.is_colour)
    file.SetSpacing(geometry.spacing)
    file.SetOrigin(geometry.origin)
    file.SetDirection(np.ravel(geometry.direction).tolist())
    for key, value in (keys or {}).items():
        file.SetMetaData(key, value)
    writer = sitk.ImageFileWriter()
    writer.SetImageIO(image_io)
    writer.SetFileName(str(path))
    writer.SetUseCompression(True)
    with silent_stderr():
        writer.Execute(file)


def _for_itk(geometry: Geometry) -> Geometry:
    """Return the grid as ITK's programs see the NIfTI file that it came from: they are who reads these formats."""
    carried = geometry.carried()
    if carried is None or geometry.ndim != 3 or not any(carried.codes):
        return geometry
    matrix = carried.for_itk()
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)
    if np.allclose(matrix, geometry.index_to_world_matrix, atol=1e-4 * float(spacing.min())):
        return geometry
    return Geometry.create(geometry.shape, spacing.tolist(), matrix[:3, 3].tolist(), matrix[:3, :3] / spacing)

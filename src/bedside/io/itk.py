"""Reading and writing through ITK, for the formats whose geometry it keeps as Bedside does (LPS)."""

from __future__ import annotations

import re
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
    """The samples of an ITK image (z, y, x[, component]) without a copy."""
    return np.asarray(_Buffer(image))


def read_itk(path: Path, options: ReadOptions, image_io: str, spacing_field: str) -> Image:
    """An image read by one of ITK's readers.

    Args:
        path: The file.
        options: ``volume`` picks one of the volumes of a 4D file or one component of a volume of vectors.
        image_io: ITK's name of the reader, so that the content decides nothing.
        spacing_field: Pattern of the header's line that gives the spacing; without it the spacing is unknown.

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
    return Image(array_of(image)[..., :3] if colour else array_of(image), _geometry(path, image, spacing_field))


def _geometry(path: Path, image: Any, spacing_field: str) -> Geometry:
    with path.open("rb") as file:
        header = file.read(_HEADER_BYTES).decode("latin-1")
    known = re.search(spacing_field, header, re.MULTILINE | re.IGNORECASE) is not None
    return Geometry(
        shape=tuple(image.GetSize()[::-1]),
        spacing=tuple(image.GetSpacing()),
        origin=tuple(image.GetOrigin()),
        direction=tuple(map(tuple, np.reshape(image.GetDirection(), (image.GetDimension(),) * 2).tolist())),
        spacing_known=known,
    )


def write_itk(path: Path, image: Image, image_io: str) -> None:
    """Write an image with one of ITK's writers, compressed."""
    import SimpleITK as sitk  # noqa: N813 - the name that all its users know

    geometry = image.geometry
    file = sitk.GetImageFromArray(storable(image.array), isVector=image.is_colour)
    file.SetSpacing(geometry.spacing)
    file.SetOrigin(geometry.origin)
    file.SetDirection(np.ravel(geometry.direction).tolist())
    writer = sitk.ImageFileWriter()
    writer.SetImageIO(image_io)
    writer.SetFileName(str(path))
    writer.SetUseCompression(True)
    with silent_stderr():
        writer.Execute(file)

"""Reading and writing through ITK, for the formats whose geometry it keeps as Bedside does (LPS)."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io.itk_written import check_written
from bedside.io.quiet import silent_stderr
from bedside.io.registry import ReadOptions
from bedside.io.samples import pick_volume, storable


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


@dataclass(frozen=True)
class Header:
    """A header of fields that were understood, for ITK to say where the grid lies.

    Attributes:
        content: As a file of its own, whose samples are in a file "samples" beside it.
        name: Of that file, with the suffix of the format.
        image_io: ITK's name of the reader.
        components: Samples of a voxel.
        colour: Whether three or four components of a picture are its colours.
        counted: What the components are, for the message that asks for one.
    """

    content: bytes
    name: str
    image_io: str
    components: int = 1
    colour: bool = True
    counted: str = "components in every voxel"


def image_of_header(
    path: Path,
    options: ReadOptions,
    header: Header,
    read: Callable[[int | None], NDArray[Any]],
    calibration: Calibration,
) -> Image:
    """Return an image whose header was read and checked here, and whose samples are read here.

    Args:
        path: The file, for messages.
        options: ``volume`` picks one of the volumes of a 4D file or one component of a volume of vectors.
        header: What ITK is given.
        read: Returns the samples in array order, components last; given a number, those of that volume alone.
        calibration: What the header says of lengths.

    Raises:
        FormatError: Several volumes and none chosen, or fewer than two or more than four axes.
    """
    grid = _grid_of(header)
    axes, components = len(grid.size), header.components
    if grid.components != components:
        raise FormatError(f"{path}: samples of a voxel", expected=grid.components, got=components)
    if axes not in (2, 3, 4):
        raise FormatError(f"{path}", expected="2 to 4 axes", got=axes)
    colour = axes == 2 and components in (3, 4) and header.colour
    volume = component = None
    if axes == 4:
        volume = pick_volume(path, grid.size[3], options.volume, f"volumes (4D, shape {grid.size})")
        grid = grid.first(3)
    if components > 1 and not colour:
        component = pick_volume(path, components, options.volume, f"{header.counted} of {axes} axes")
    elif axes < 4:
        pick_volume(path, 1, options.volume)
    geometry = _geometry(grid, calibration)
    array = read(volume)
    if component is not None:
        array = array[..., component].copy()
    return Image(array[..., :3] if colour else array, geometry)


@dataclass(frozen=True)
class _Grid:
    """Where ITK puts the samples: along each axis, the fastest first."""

    size: tuple[int, ...]
    spacing: tuple[float, ...]
    origin: tuple[float, ...]
    direction: NDArray[np.float64]
    components: int = 1

    def first(self, axes: int) -> _Grid:
        """Return the grid of the first axes."""
        return _Grid(self.size[:axes], self.spacing[:axes], self.origin[:axes], self.direction[:axes, :axes])


def _grid_of(header: Header) -> _Grid:
    import SimpleITK as sitk  # noqa: N813 - the name that all its users know

    with tempfile.TemporaryDirectory(prefix="bedside-") as folder, silent_stderr():
        file = Path(folder) / header.name
        file.write_bytes(header.content)
        (file.parent / "samples").touch()
        reader = sitk.ImageFileReader()
        reader.SetImageIO(header.image_io)
        reader.SetFileName(str(file))
        reader.ReadImageInformation()
        return _grid(reader, reader.GetNumberOfComponents())


def _grid(image: Any, components: int = 1) -> _Grid:
    axes = image.GetDimension()
    direction = np.reshape(image.GetDirection(), (axes, axes))
    return _Grid(tuple(image.GetSize()), tuple(image.GetSpacing()), tuple(image.GetOrigin()), direction, components)


def read_itk(path: Path, options: ReadOptions, image_io: str) -> Image:
    """Return an image read by one of ITK's readers, whose size was checked before; its spacing is unknown.

    Args:
        path: The file.
        options: ``volume`` picks one of the volumes of a 4D file or one component of a volume of vectors.
        image_io: ITK's name of the reader, so that the content decides nothing.

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
    geometry = _geometry(_grid(image), Calibration(known=False))
    return Image(array_of(image)[..., :3] if colour else array_of(image), geometry)


def _geometry(grid: _Grid, calibration: Calibration) -> Geometry:
    # The unit belongs to the axes of the world, along which the columns of the directions are measured.
    scale = np.asarray(calibration.scale[: len(grid.size)])
    # A negative spacing turns its axis round, as in ITK.
    signed = np.asarray(grid.spacing)
    direction, spacing = grid.direction * np.where(signed < 0, -1.0, 1.0) + 0.0, np.abs(signed)
    if np.any(scale != 1):
        columns = direction * spacing * scale[:, None]
        spacing = np.linalg.norm(columns, axis=0)
        direction = columns / spacing
    return Geometry(
        shape=tuple(grid.size[::-1]),
        spacing=tuple(float(s) for s in spacing),
        origin=tuple(float(v) for v in np.asarray(grid.origin) * scale),
        direction=tuple(map(tuple, direction.tolist())),
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
    check_written(path, image.array.size * file.GetSizeOfPixelComponent())


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

"""A second image of a patient beside the first, as PET beside CT, seen on the first one's grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.pyramid import is_pyramid

if TYPE_CHECKING:
    from bedside.imaging.registration import RigidMotion

LITTLE = 0.1
"""Part of the first image below which a note says how little of it the second one covers."""
_SMALLEST = 0.01
"""Part that is told as a number at least."""
_PLACES = 24
"""Places along each axis at which it is looked whether two grids overlap."""


@dataclass(frozen=True, eq=False)
class LinkedImage:
    """A second volume and where it lies on the grid of a first one; ``link_images`` makes it.

    Attributes:
        image: The second volume, on its own grid.
        geometry: That grid as it lies in the world of the first image.
        grid: The grid of the first image.
        motion: The rigid registration; None where the files' places were taken.
        overlap: Part of the first image that the second one covers, 0 to 1.
        notes: What a user should know, a sentence each.
    """

    image: Image
    geometry: Geometry
    grid: Geometry
    motion: RigidMotion | None
    overlap: float
    notes: tuple[str, ...]

    def slice(self, axis: int, index: int) -> NDArray[np.float32]:
        """Return the second image on one slice of the first one's grid, by linear interpolation.

        Args:
            axis: Across which the slice lies, 0 to 2 in array order (z, y, x).
            index: Number of the slice along it.

        Returns:
            float32 of the two other axes, in array order; not a number where there is no second image. Half a voxel
            beyond its outer voxels' centres still takes their values.

        Raises:
            InputError: There is no such slice.
        """
        from scipy import ndimage

        if axis not in (0, 1, 2):
            raise InputError("axis of a slice", expected="0, 1 or 2, in array order", got=repr(axis)[:40])
        if not isinstance(index, int | np.integer) or not 0 <= index < self.grid.shape[axis]:
            raise InputError("number of a slice", expected=f"0 to {self.grid.shape[axis] - 1}", got=repr(index)[:40])
        ranges = [np.arange(n) for n in self.grid.shape]
        ranges[axis] = np.array([index])
        places = self._places(np.stack(np.meshgrid(*ranges, indexing="ij")[::-1], axis=-1))
        sizes = np.array(self.geometry.shape)
        inside = np.all((places >= -0.5) & (places < sizes - 0.5), axis=-1)
        # Outside, too: a place far away would only cost time, and is taken out below.
        held = np.moveaxis(np.clip(places, 0, sizes - 1), -1, 0)
        array = self.image.array
        values = ndimage.map_coordinates(array, held, output=np.float32, order=1, mode="nearest", prefilter=False)
        values[~inside] = np.nan
        return np.asarray(values.squeeze(axis), dtype=np.float32)

    def covers(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return where the second image is, of continuous indices (..., 3), (x, y, z) order, of the first grid."""
        places = self._places(points)
        return np.asarray(np.all((places >= -0.5) & (places < np.array(self.geometry.shape) - 0.5), axis=-1))

    def onto_grid(self) -> Image:
        """Return the whole second image on the first one's grid, by linear interpolation.

        The dtype stays, but for float64, float16 and bool; where there is no second image lies its smallest value.
        """
        import SimpleITK as sitk  # noqa: N813 - the name that all its users know

        array = _for_itk(self.image.array)
        moving: Any = sitk.GetImageFromArray(array)
        _place(moving, self.geometry)
        resample = sitk.ResampleImageFilter()
        resample.SetSize(self.grid.shape[::-1])
        resample.SetOutputSpacing(self.grid.spacing)
        resample.SetOutputOrigin(self.grid.origin)
        resample.SetOutputDirection(np.ravel(self.grid.direction).tolist())
        resample.SetInterpolator(sitk.sitkLinear)
        resample.SetDefaultPixelValue(float(np.nanmin(array)))
        return replace(self.image, array=sitk.GetArrayFromImage(resample.Execute(moving)), geometry=self.grid)

    def _places(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Return continuous indices of the second image in array order, of places of the first grid in (x, y, z)."""
        return self.geometry.world_to_index(self.grid.index_to_world(points))[..., ::-1]


def link_images(image: Image, second: Image, *, register: bool = False) -> LinkedImage:
    """Place a second volume of a patient on the grid of a first one.

    Args:
        image: The first volume, on whose grid masks lie.
        second: The other one, of any grid.
        register: Whether to find by rigid registration how the patient moved, rather than to take the files' places.

    Raises:
        InputError: One of them is a picture, has no known spacing or is too large to read whole; their files name two
            frames of reference and no registration is asked for; they nowhere overlap; or as ``register_rigid``.
        StoppedError: See ``core.stopping``.

    Example:
        >>> pet = link_images(ct, read_image("pet.nii.gz"))     # doctest: +SKIP
        >>> pet.slice(0, 40).shape                              # doctest: +SKIP
        (512, 512)
    """
    for what, one in (("the first image", image), ("the second image", second)):
        _check(what, one)
    frames = [str(one.metadata.get("frame_of_reference_uid") or "") for one in (image, second)]
    notes, motion, placed = [], None, second.geometry
    if register:
        from bedside.imaging.registration import register_rigid

        motion = register_rigid(image, second)
        placed = motion.place(second.geometry)
        notes.append(_told(motion))
    elif all(frames) and frames[0] != frames[1]:
        raise InputError(
            "the second image has another frame of reference than the first",
            expected=frames[0],
            got=frames[1],
            fix="ask for registration, which finds how the patient moved between the two",
        )
    elif not all(frames):
        notes.append(
            "the files do not say that both images are of one frame of reference: where they do not match, ask for "
            "registration"
        )
    linked = LinkedImage(second, placed, image.geometry, motion, 0.0, ())
    overlap = _overlap(linked)
    if overlap == 0:
        raise InputError(
            "the second image nowhere overlaps the first",
            expected=f"a place near {_centre(image.geometry)} mm",
            got=_centre(placed),
            fix="choose an image of the same part of the patient" + ("" if register else ", or ask for registration"),
        )
    if overlap < LITTLE:
        part = f"{overlap:.0%}" if overlap >= _SMALLEST else f"less than {_SMALLEST:.0%}"
        notes.append(f"the second image covers {part} of the first one alone")
    return replace(linked, overlap=overlap, notes=tuple(notes))


def _check(what: str, image: Image) -> None:
    if image.ndim != 3:
        fix = "pictures have no place in the patient; open each by itself"
        raise InputError(what, expected="a volume", got="a picture of two axes", fix=fix)
    if not image.geometry.spacing_known:
        raise InputError(what, expected="the size of its voxels in mm", got="none in its file")
    if is_pyramid(image.array):
        raise InputError(what, expected="an image that can be read whole", got=f"{image.shape} voxels in levels")


def _overlap(linked: LinkedImage) -> float:
    """Return the part of the first grid that the second image covers, looked at in some places of each."""
    first, second = (_some_places(grid) for grid in (linked.grid, linked.geometry))
    part = float(linked.covers(first).mean())
    if part > 0:
        return part
    # A second image smaller than the gaps between those places.
    there = linked.grid.world_to_index(linked.geometry.index_to_world(second))
    inside = np.all((there >= -0.5) & (there < np.array(linked.grid.shape[::-1]) - 0.5), axis=-1)
    volumes = [np.prod(grid.shape, dtype=np.float64) * grid.voxel_volume for grid in (linked.geometry, linked.grid)]
    return float(inside.mean() * volumes[0] / volumes[1])


def _some_places(grid: Geometry) -> NDArray[np.float64]:
    axes = [np.linspace(0, n - 1, min(n, _PLACES)) for n in grid.shape[::-1]]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)


def _centre(grid: Geometry) -> str:
    middle = grid.index_to_world([(n - 1) / 2 for n in grid.shape[::-1]])
    return f"({', '.join(str(round(v)) for v in middle)})"


def _told(motion: RigidMotion) -> str:
    if not motion.moves:
        return "the second image lies where its file says: registration found no better place"
    shift, angle = motion.shift_mm, motion.angle_degrees
    return f"the second image was moved by {shift:.1f} mm and turned by {angle:.1f} degrees"


def _for_itk(array: NDArray[Any]) -> NDArray[Any]:
    """Return samples in a dtype that ITK knows, in the machine's byte order."""
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind == "f":
        return array.astype(np.float32)
    return array.astype(array.dtype.newbyteorder("="))


def _place(image: Any, grid: Geometry) -> None:
    image.SetSpacing(grid.spacing)
    image.SetOrigin(grid.origin)
    image.SetDirection(np.ravel(grid.direction).tolist())

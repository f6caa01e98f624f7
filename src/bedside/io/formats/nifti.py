"""NIfTI-1 and NIfTI-2, plain and compressed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.core.geometry import DIRECTION_TOLERANCE, Geometry
from bedside.core.image import Image
from bedside.io.registry import READERS, WRITERS, Reader, ReadOptions, Writer
from bedside.io.samples import native, pick_volume, rescale, storable

_SUFFIXES = (".nii", ".nii.gz")
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_MILLIMETRES = {"meter": 1e3, "micron": 1e-3}
_SCANNER = 1  # NIFTI_XFORM_SCANNER_ANAT


def _read(path: Path, options: ReadOptions) -> Image:
    import nibabel as nib

    file = nib.load(path, mmap=False)
    array, shape = _samples(path, file, options)
    geometry, orientation = _geometry(path, file, shape)
    return Image(array.T.reshape(geometry.shape), geometry, metadata={"orientation": orientation})


def _samples(path: Path, file: Any, options: ReadOptions) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Samples with axes (x, y) or (x, y, z), and their shape."""
    shape = tuple(int(n) for n in file.shape)
    if np.dtype(file.get_data_dtype()).fields:
        raise FormatError(f"{path}: NIfTI with colour samples", expected="grey values", fix="convert it to grey first")
    count = int(np.prod(shape[3:], dtype=np.int64))
    index = pick_volume(path, count, options.volume, f"volumes ({len(shape)}D, shape {shape})")
    # Unscaled, because the library's own scaling turns every volume into float64.
    raw = file.dataobj.get_unscaled()
    if len(shape) > 3:
        raw = raw.reshape((*shape[:3], count), order="F")[..., index]
        # A copy of the one volume lets go of the others.
        raw = raw.copy(order="F") if count > 1 else raw
    return rescale(native(raw), float(file.dataobj.slope), float(file.dataobj.inter)), shape[:3]


def _geometry(path: Path, file: Any, shape: tuple[int, ...]) -> tuple[Geometry, str]:
    """The grid, and which of the header's fields it came from."""
    scale = _MILLIMETRES.get(file.header.get_xyzt_units()[0], 1.0)
    sheared: FormatError | None = None
    for name, (affine, code) in (("sform", file.get_sform(coded=True)), ("qform", file.get_qform(coded=True))):
        if not code or affine is None:
            continue
        try:
            return geometry_from_affine(path, shape, np.diag([scale, scale, scale, 1.0]) @ affine), name
        except FormatError as error:
            # A registration may leave a sheared sform beside the scanner's sound qform.
            sheared = sheared or error
    if sheared is not None:
        raise sheared
    # Without any orientation ITK, and with it most viewers, put the axes along LPS; so that masks lie on images.
    zooms = tuple(float(str(np.float32(z))) * scale for z in file.header.get_zooms()[: len(shape)])
    known = any(z != 1 for z in zooms) or file.header.get_xyzt_units()[0] != "unknown"
    return Geometry.create(shape[::-1], zooms if known else None), "none"


def geometry_from_affine(path: Path, shape: tuple[int, ...], affine: NDArray[np.float64]) -> Geometry:
    """The grid of an affine from index (x, y, z) to RAS millimetres.

    Args:
        path: For messages.
        shape: Samples along x, y (and z). A two-dimensional image that does not lie in an axial plane becomes a
            volume of one slice, so that its orientation is kept.
        affine: (4, 4).

    Raises:
        FormatError: An axis of no length, or axes that are not at right angles.
    """
    lps = _RAS_TO_LPS @ affine
    axes = len(shape)
    columns = lps[:3, :3].copy()
    spacing = np.linalg.norm(columns, axis=0)
    if axes == 2 and not (np.isfinite(spacing[2]) and spacing[2] > 0):
        columns[:, 2], spacing[2] = np.cross(columns[:, 0], columns[:, 1]), spacing[0] * spacing[1]
    if not np.all(np.isfinite(lps)) or spacing.min() <= 0:
        raise FormatError(f"{path}: orientation", expected="axes of positive length", got=f"spacing {spacing.tolist()}")
    # Adding zero turns -0.0 into 0.0.
    direction = columns / spacing + 0.0
    # The header holds single precision: 0.4 mm comes as 0.4000000059604645, and is meant as 0.4.
    spacing = np.array([float(str(np.float32(s))) for s in spacing])
    shear = np.abs(direction.T @ direction - np.eye(3)).max()
    if shear > DIRECTION_TOLERANCE:
        raise FormatError(
            f"{path}: sheared axes",
            expected="axes at right angles",
            got=f"{np.degrees(np.arcsin(min(1.0, shear))):.2f} degrees off",
            fix="resample it to a regular grid first",
        )
    origin = lps[:3, 3] + 0.0
    if axes == 2 and np.abs(direction[2, :2]).max() <= DIRECTION_TOLERANCE:
        return Geometry.create(shape[::-1], spacing[:2].tolist(), origin[:2].tolist(), direction[:2, :2])
    return Geometry.create((*(1,) * (3 - axes), *shape[::-1]), spacing.tolist(), origin.tolist(), direction)


def affine_from_geometry(geometry: Geometry) -> NDArray[np.float64]:
    """The affine (4, 4) from index (x, y, z) to RAS millimetres; a plane gets a third axis of 1 mm."""
    n = geometry.ndim
    matrix = geometry.index_to_world_matrix
    lps = np.eye(4)
    lps[:n, :n] = matrix[:n, :n]
    lps[:n, 3] = matrix[:n, n]
    return _RAS_TO_LPS @ lps


def _write(path: Path, image: Image, labels: bool) -> None:  # noqa: ARG001 - masks and images are stored alike
    import nibabel as nib

    if image.is_colour:
        raise FormatError("NIfTI cannot hold colour", fix="use .png, .tif, .nrrd or .mha")
    array = storable(image.array)
    affine = affine_from_geometry(image.geometry)
    file = nib.Nifti1Image(array.T, affine, dtype=array.dtype)
    # Codes of 0 say that nothing is known, which is then read back as such.
    code = _SCANNER if image.geometry.spacing_known else 0
    file.set_qform(affine, code)
    file.set_sform(affine, code)
    file.header.set_xyzt_units("mm" if code else "unknown")
    nib.save(file, path)


READERS.register("nifti")(Reader("NIfTI", _SUFFIXES, _read))
WRITERS.register("nifti")(Writer("NIfTI", _SUFFIXES, _write))

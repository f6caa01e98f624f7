"""NIfTI-1 and NIfTI-2, plain and compressed, in one file or as a pair, and Analyze 7.5."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import FormatError
from bedside.core.geometry import DIRECTION_TOLERANCE, Geometry
from bedside.core.image import Image
from bedside.core.transforms import SCANNER, NiftiTransforms
from bedside.io.bounds import bytes_of
from bedside.io.nifti_header import open_nifti
from bedside.io.packing import check_samples, open_unpacked, read_head
from bedside.io.raster import on_black
from bedside.io.registry import READERS, WRITERS, Reader, ReadOptions, Writer
from bedside.io.samples import native, pick_volume, rescale, storable

_SUFFIXES = (".nii", ".nii.gz")
_PAIR = (".hdr", ".img", ".hdr.gz", ".img.gz")
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_MILLIMETRES = {"meter": 1e3, "micron": 1e-3}
_LONGEST = 32767
"""Samples along an axis that NIfTI-1 can count."""
_OPAQUE = 255
_LONGEST_MATRIX = 65536
"""Bytes of a file with an orientation, which is a few numbers."""


def _recognises(head: bytes) -> bool:
    if head[344:348] in (b"n+1\0", b"ni1\0") or head[4:8] in (b"n+2\0", b"ni2\0"):
        return True
    # Analyze has its own length and no other mark.
    return len(head) == 348 and head[:4] in ((348).to_bytes(4, "little"), (348).to_bytes(4, "big"))


def _read(path: Path, options: ReadOptions) -> Image:
    with _opened(path) as (file, samples):
        check_nibabel(samples, file)
        return _read_opened(path, file, options)


def check_nibabel(samples: Path, file: Any) -> None:
    """Hold the samples that an opened file of nibabel's declares against the file that has them.

    Raises:
        FormatError: It has fewer.
    """
    shape = [int(n) for n in file.shape]
    declared = bytes_of(str(samples), shape, file.get_data_dtype().itemsize)
    check_samples(samples, declared, max(0, int(file.dataobj.offset)))


def _read_opened(path: Path, file: Any, options: ReadOptions) -> Image:
    """Return the image in an opened file of nibabel's."""
    array, shape = _samples(path, file, options)
    geometry, orientation = _geometry(path, file, shape)
    nifti = _transforms(file)
    if array.dtype.fields is not None:
        spacing = geometry.spacing[:2] if geometry.spacing_known else None
        geometry = replace(Geometry.create(geometry.shape[-2:], spacing), nifti=nifti)
        return Image(_colours(array), geometry, metadata={"orientation": orientation})
    geometry = replace(geometry, nifti=nifti)
    image = Image(array.T.reshape(geometry.shape), geometry, metadata={"orientation": orientation})
    note = _note(path, geometry, orientation)
    if note is not None:
        image.metadata["notes"] = [note]
    return image


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Path]]:
    """Yield a file of nibabel's and the file with its samples, by content and not by name; a pair is two files."""
    import nibabel as nib
    from nibabel.fileholders import FileHolder

    header = _partner(path, ".hdr") if _is_samples(path) else path
    head = read_head(header).content
    single = head[344:348] == b"n+1\0" or head[4:8] == b"n+2\0"
    kinds = (nib.Nifti1Image, nib.Nifti2Image) if single else (nib.Nifti1Pair, nib.Nifti2Pair)
    older = (nib.Spm2AnalyzeImage, nib.Spm99AnalyzeImage, nib.AnalyzeImage)
    kind = next((k for k in (*kinds, *older) if k.header_class.may_contain_header(head)), None)
    if kind is None:
        raise FormatError(f"{header}", expected="a header of NIfTI or Analyze", got="something else")
    if single:
        with open_unpacked(header) as stream:
            yield open_nifti(header, kind, stream, stream), header
        return
    samples = path if header != path else _partner(path, ".img")
    with open_unpacked(header) as first, open_unpacked(samples) as second:
        if kind in kinds:
            yield open_nifti(header, kind, first, second), samples
            return
        files = {"header": FileHolder(fileobj=first), "image": FileHolder(fileobj=second)}
        if issubclass(kind, nib.Spm99AnalyzeImage):
            # Where SPM keeps the orientation that Analyze has no place for.
            matrix = header.with_name(header.name.split(".")[0] + ".mat")
            known = matrix.is_file() and matrix.stat().st_size <= _LONGEST_MATRIX
            files["mat"] = FileHolder(filename=str(matrix) if known else os.devnull)
        yield kind.from_file_map(files), samples


def _is_samples(path: Path) -> bool:
    """Return whether a file holds the samples of a pair, so that the header is the one beside it."""
    return path.name.lower().endswith((".img", ".img.gz")) and not _recognises(read_head(path).content)


def _partner(path: Path, suffix: str) -> Path:
    """Return the other file of a pair.

    Raises:
        FormatError: It is not there.
    """
    stem = path.name.removesuffix(".gz").removesuffix(".GZ")
    stem = stem[: -len(".hdr")] if stem.lower().endswith((".hdr", ".img")) else stem
    names = [f"{stem}{s}{z}" for s in (suffix, suffix.upper()) for z in ("", ".gz")]
    found = next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)
    if found is None:
        kind = "header" if suffix == ".hdr" else "samples"
        raise FormatError(f"{path}: the file with its {kind} is missing", expected=names[0], got="nothing there")
    return found


def _samples(path: Path, file: Any, options: ReadOptions) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Return samples with axes (x, y) or (x, y, z), and their shape."""
    shape = tuple(int(n) for n in file.shape)
    if len(shape) < 2:
        raise FormatError(f"{path}", expected="2 or more axes", got=len(shape))
    if np.dtype(file.get_data_dtype()).fields and any(n != 1 for n in shape[2:]):
        raise FormatError(
            f"{path}: a volume of colours", expected="grey values, or one slice", fix="convert it to grey first"
        )
    if file.get_data_dtype().kind == "c":
        raise FormatError(f"{path}: complex samples", expected="real ones", fix="store magnitude and phase instead")
    count = int(np.prod(shape[3:], dtype=np.int64))
    index = pick_volume(path, count, options.volume, f"volumes ({len(shape)}D, shape {shape})")
    # Unscaled, because the library's own scaling turns every volume into float64.
    raw = file.dataobj.get_unscaled()
    if len(shape) > 3:
        raw = raw.reshape((*shape[:3], count), order="F")[..., index]
        # A copy of the one volume lets go of the others.
        raw = raw.copy(order="F") if count > 1 else raw
    if raw.dtype.fields is not None:
        return raw, shape[:3]
    return rescale(native(raw), float(file.dataobj.slope), float(file.dataobj.inter)), shape[:3]


def _colours(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Return RGB24 or RGBA32 of one slice as (y, x, 3)."""
    names = array.dtype.names or ()
    plane = array.reshape(array.shape[:2])
    channels = np.stack([plane[name].T for name in names], axis=-1)
    return on_black(channels) if len(names) == 4 else channels


def _transforms(file: Any) -> NiftiTransforms | None:
    """Return the fields that place the voxels; None for a format that has no such pair of transforms."""
    header = file.header
    if "sform_code" not in header:
        return None

    def numbers(*names: str) -> tuple[float, ...]:
        return tuple(float(v) for name in names for v in np.ravel(header[name]))

    shape = tuple(int(n) for n in file.shape[:3])
    pixdim = numbers("pixdim")[:4]
    fields = (*numbers("srow_x", "srow_y", "srow_z"), *pixdim, *numbers("qoffset_x", "qoffset_y", "qoffset_z"))
    quaternion = numbers("quatern_b", "quatern_c", "quatern_d")
    if not np.all(np.isfinite([*fields, *quaternion])):
        return None
    return NiftiTransforms(
        shape=(*shape, 1, 1)[: max(2, len(shape))],
        codes=(int(header["qform_code"]), int(header["sform_code"])),
        pixdim=(pixdim[0], pixdim[1], pixdim[2], pixdim[3]),
        quaternion=(quaternion[0], quaternion[1], quaternion[2]),
        offset=(fields[-3], fields[-2], fields[-1]),
        rows=fields[:12],
        units=int(header["xyzt_units"]),
    )


def _note(path: Path, geometry: Geometry, orientation: str) -> str | None:
    """Return what to tell of a file that lies elsewhere in other programs."""
    nifti = geometry.nifti
    if nifti is None or geometry.ndim != 3 or not all(nifti.codes):
        return None
    last = np.array(nifti.shape) - 1
    corners = np.array([[x, y, z, 1] for x in (0, last[0]) for y in (0, last[1]) for z in (0, last[2])])
    apart = np.linalg.norm(corners @ (nifti.qform - nifti.sform).T, axis=1).max() * nifti.scale
    if apart <= 0.5 * min(geometry.spacing):
        return None
    other = "qform" if orientation == "sform" else "sform"
    return (
        f"{path}: its two orientations (qform, code {nifti.codes[0]}; sform, code {nifti.codes[1]}) differ by "
        f"{apart:.1f} mm; Bedside counts in the {orientation}, other programs may take the {other}; masks carry both"
    )


def _geometry(path: Path, file: Any, shape: tuple[int, ...]) -> tuple[Geometry, str]:
    """Return the grid, and which of the header's fields it came from."""
    if not hasattr(file, "get_sform"):
        matrix = file.file_map.get("mat")
        if matrix is not None and Path(matrix.filename).is_file():
            return geometry_from_affine(path, shape, file.affine), "mat"
        return _of_zooms(file, shape, "mm")
    unit = file.header.get_xyzt_units()[0]
    scale = _MILLIMETRES.get(unit, 1.0)
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
    return _of_zooms(file, shape, unit)


def _of_zooms(file: Any, shape: tuple[int, ...], unit: str) -> tuple[Geometry, str]:
    """Return the grid of a file that says no more than the size of its voxels."""
    # Without any orientation ITK, and with it most viewers, put the axes along LPS; so that masks lie on images.
    scale = _MILLIMETRES.get(unit, 1.0)
    zooms = tuple(float(str(np.float32(abs(z)))) * scale for z in file.header.get_zooms()[: len(shape)])
    known = any(z != 1 for z in zooms) or unit != "unknown"
    usable = known and all(np.isfinite(z) and z > 0 for z in zooms)
    return Geometry.create(shape[::-1], zooms if usable else None), "none"


def geometry_from_affine(path: Path, shape: tuple[int, ...], affine: NDArray[np.float64]) -> Geometry:
    """Return the grid of an affine from index (x, y, z) to RAS millimetres.

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
    """Return the affine (4, 4) from index (x, y, z) to RAS millimetres; a plane gets a third axis of 1 mm."""
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
    carried = image.geometry.carried()
    samples = array.T.reshape(carried.shape) if carried is not None else array.T
    kind = nib.Nifti1Image if max(samples.shape) <= _LONGEST else nib.Nifti2Image
    # With an affine the library would work the carried fields out again when it saves.
    file = kind(samples, None if carried is not None else affine, dtype=array.dtype)
    if carried is not None:
        _carry(file.header, carried)
    else:
        # Codes of 0 say that nothing is known, which is then read back as such.
        code = SCANNER if image.geometry.spacing_known else 0
        file.set_qform(affine, code)
        file.set_sform(affine, code)
        file.header.set_xyzt_units("mm" if code else "unknown")
    with path.open("wb") as sink:
        _save(file, sink, compressed=path.name.lower().endswith(".gz"))


def _save(file: Any, sink: IO[bytes], *, compressed: bool) -> None:
    """Write a file with the header as it stands: saving by the library would work the transforms out again."""
    import gzip

    if not compressed:
        file.to_stream(sink)
        return
    with gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=sink, mtime=0) as packed:
        file.to_stream(packed)


def _carry(header: Any, carried: NiftiTransforms) -> None:
    """Put the transforms of another file into a header, field by field."""
    header["pixdim"][:4] = carried.pixdim
    header["qform_code"], header["sform_code"] = carried.codes
    for name, value in zip("bcd", carried.quaternion, strict=True):
        header[f"quatern_{name}"] = value
    for place, name in enumerate("xyz"):
        header[f"qoffset_{name}"] = carried.offset[place]
        header[f"srow_{name}"] = carried.rows[4 * place : 4 * place + 4]
    header["xyzt_units"] = carried.units


READERS.register("nifti")(
    Reader("NIfTI", (*_SUFFIXES, *_PAIR), _read, recognises=_recognises, unpacks=True, isolate=False)
)
WRITERS.register("nifti")(Writer("NIfTI", _SUFFIXES, _write))

"""Reading what a stranger sent in a process of its own, which is all that ends when a library breaks on a damaged file.

Nothing that the child says is carried out: what it found comes back as JSON, and samples as bytes of a stated dtype.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import BedsideError, ChoiceError, DependencyError, FormatError, InputError
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.core.pyramid import is_pyramid
from bedside.core.transforms import NiftiTransforms
from bedside.io.reading import read_image, read_mask
from bedside.io.registry import find_reader
from bedside.io.translating import translated

LONGEST = 600.0
"""Seconds that a file may take."""
_PROGRAM = (
    "import json, sys; given = json.load(sys.stdin); sys.path[:] = given['paths']; "
    "from bedside.io.isolated import read_in_child; read_in_child(given)"
)
_ERRORS: dict[str, type[BedsideError]] = {e.__name__: e for e in (InputError, FormatError, DependencyError)}


def read_uploaded(path: Path, *, series: str | None = None, volume: int | None = None, mask: bool = False) -> Image:
    """Return an image as ``read_image``, or a mask as ``read_mask``.

    Where the format's library can end the process, it is read in another.

    Args:
        path: A file or folder that came from a stranger.
        series: As ``read_image``.
        volume: As ``read_image``.
        mask: Whether it is a mask.

    Raises:
        FormatError: As ``read_image``, the child ended without a word or took too long, or an image too large to read
            whole.
    """
    with translated(path):
        if not path.exists() or not find_reader(path)[0].isolate or not sys.executable:
            return read_mask(path, volume=volume) if mask else read_image(path, series=series, volume=volume)
    with tempfile.TemporaryDirectory(prefix="bedside-") as folder:
        samples = Path(folder) / "samples"
        given: dict[str, Any] = {"path": str(path), "series": series, "volume": volume, "mask": mask}
        given |= {"samples": str(samples), "paths": sys.path}
        told = _ask(path, given)
        if "error" in told:
            raise _error_of(told["error"])
        with translated(path):
            return _image_of(told, samples)


def _ask(path: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Run the child and return what it says.

    Raises:
        FormatError: It ended without a word, or took too long.
    """
    try:
        command = [sys.executable, "-c", _PROGRAM]
        text = json.dumps(given).encode()
        ran = subprocess.run(command, input=text, capture_output=True, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired as error:
        raise FormatError(
            f"{path} cannot be read", expected=f"at most {LONGEST:.0f} s of reading", got="more"
        ) from error
    with suppress(ValueError):
        told = json.loads(ran.stdout)
        if isinstance(told, dict):
            return told
    status = ran.returncode
    how = f"status {status}"
    if status < 0:
        with suppress(ValueError):
            how = signal.Signals(-status).name
    raise FormatError(
        f"{path} cannot be read: the library of its format gave up", got=how, fix="the file is damaged or too large"
    )


def _error_of(told: dict[str, Any]) -> BedsideError:
    what, kind = str(told.get("what")), str(told.get("kind"))
    expected, got, fix = (told.get(key) for key in ("expected", "got", "fix"))
    if kind == "ChoiceError":
        option, count = str(told.get("option")), told.get("count")
        return ChoiceError(what, option=option, count=count, expected=expected, got=got, fix=fix)
    return _ERRORS.get(kind, FormatError)(what, expected=expected, got=got, fix=fix)


def _image_of(told: dict[str, Any], samples: Path) -> Image:
    grid = dict(told["geometry"])
    nifti = grid.pop("nifti")
    geometry = Geometry(
        shape=tuple(grid["shape"]),
        spacing=tuple(grid["spacing"]),
        origin=tuple(grid["origin"]),
        direction=tuple(map(tuple, grid["direction"])),
        spacing_known=bool(grid["spacing_known"]),
        nifti=None if nifti is None else NiftiTransforms(**{k: _tuple(v) for k, v in nifti.items()}),
    )
    dtype = np.dtype(str(told["dtype"]))
    if dtype.kind not in "buif":
        raise FormatError("samples", expected="numbers", got=str(dtype))
    array: NDArray[Any] = np.fromfile(samples, dtype).reshape(told["shape"])
    padding = tuple((float(low), float(high)) for low, high in told["padding"])
    return Image(array, geometry, told["modality"], told["source"], _from_json(told["metadata"]), padding)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def read_in_child(given: dict[str, Any]) -> None:
    """Read an image, put its samples into a file, and say the rest on standard output.

    Args:
        given: ``path``, ``series``, ``volume`` and ``mask`` as for ``read_uploaded``; ``samples``, the file for these.
    """
    # What libraries print is no part of the answer.
    answer, sys.stdout = sys.stdout, sys.stderr
    try:
        if given["mask"]:
            image = read_mask(given["path"], volume=given["volume"])
        else:
            image = read_image(given["path"], series=given["series"], volume=given["volume"])
        if is_pyramid(image.array):
            raise FormatError(
                f"{given['path']}: {' x '.join(map(str, image.shape[::-1]))} pixels",
                expected="an image that is read whole",
                fix="send a coarser level or a part of it, or open it by its path",
            )
        image.array.tofile(given["samples"])
        told = {
            "dtype": image.array.dtype.str,
            "shape": image.array.shape,
            "geometry": asdict(image.geometry),
            "modality": image.modality,
            "source": image.source,
            "metadata": _to_json(image.metadata),
            "padding": image.padding,
        }
    except BedsideError as error:
        kept = ("what", "expected", "got", "fix", "option", "count")
        told = {"error": {"kind": type(error).__name__, **{k: getattr(error, k, None) for k in kept}}}
    json.dump(told, answer, default=_number)


def _number(value: Any) -> Any:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} in what was read")


def _to_json(value: Any) -> Any:
    """Return plain values with tuples marked as such."""
    if isinstance(value, tuple):
        return {"tuple": [_to_json(v) for v in value]}
    if isinstance(value, list):
        return [_to_json(v) for v in value]
    # As pairs, because keys of JSON are text and labels are numbers.
    return {"dict": [[k, _to_json(v)] for k, v in value.items()]} if isinstance(value, dict) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_from_json(v) for v in value]
    if isinstance(value, dict):
        if "tuple" in value:
            return tuple(_from_json(v) for v in value["tuple"])
        return {k: _from_json(v) for k, v in value["dict"]}
    return value

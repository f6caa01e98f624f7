"""Slides: pictures in TIFF with a pyramid of levels, read where they are looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bedside.core.errors import DependencyError
from bedside.core.pyramid import Pyramid
from bedside.io.lazy import AT_ONCE, StoredLevel, need_zarr
from bedside.io.quiet import quiet


class SlideLevel:
    """One level of a slide. The file is opened for each block, so that nothing has to be closed later.

    Args:
        path: The file.
        number: The level, 0 for the finest.
        axes: As tifffile names them: Y, X and perhaps S for the colours.
        shape: Shape of the level as it is stored.
        dtype: Dtype of the samples.
    """

    def __init__(self, path: Path, number: int, axes: str, shape: tuple[int, ...], dtype: Any) -> None:
        self._path, self._number, self._axes, self._stored = path, number, axes, shape
        self._dtype: np.dtype[Any] = np.dtype(dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and columns, then the three colours."""
        size = tuple(int(self._stored[self._axes.index(axis)]) for axis in "YX")
        return (*size, 3) if "S" in self._axes else size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the samples."""
        return self._dtype

    def __getitem__(self, key: tuple[slice, ...]) -> NDArray[Any]:
        """Return a block, read now."""
        import tifffile

        zarr = need_zarr("a slide")
        colour = self._axes.index("S") if "S" in self._axes else None
        with quiet(), tifffile.TiffFile(self._path) as file:
            store = file.series[0].levels[self._number].aszarr(multiscales=False)
            level = StoredLevel(zarr.open(store, mode="r"), [None] * len(self._axes), colour)
            read = level[key[:2]]
            store.close()
        return read[..., :3][..., key[2]] if len(key) > 2 else read[..., :3] if colour is not None else read


def is_lazy(series: Any) -> bool:
    """Return whether a series, opened by tifffile, is that of a slide, which is read where it is looked at."""
    return (
        len(series.levels) >= 2
        and series.size * series.dtype.itemsize > AT_ONCE
        and sorted(series.axes) in (["X", "Y"], ["S", "X", "Y"])
    )


def open_slide(path: Path, series: Any) -> Any | None:
    """Return the pyramid of a slide; None for a TIFF that is read at once.

    Args:
        path: The file.
        series: The first series of it, opened by tifffile.

    Raises:
        DependencyError: A library that the slide needs is not installed.
    """
    if not is_lazy(series):
        return None
    need_zarr("a slide")
    levels = [
        SlideLevel(path, number, level.axes, level.shape, level.dtype) for number, level in enumerate(series.levels)
    ]
    try:
        levels[-1][(slice(0, 1), slice(0, 1))]
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        raise DependencyError(f"{path}: its code needs imagecodecs", fix="pip install 'bedside[slides]'") from error
    return Pyramid(levels, 2)

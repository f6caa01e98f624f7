"""A packed block is as long as it says, and unpacks to no more than the array's blocks hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside import io
from bedside.core.errors import FormatError
from bedside.io.packed_blocks import check_header

zarr = pytest.importorskip("zarr", reason="the extra 'slides' is not installed")
numcodecs = pytest.importorskip("numcodecs")
STEPS = np.arange(6 * 20 * 18, dtype=np.uint16).reshape(6, 20, 18)


def written(path: Path, version: int, **options: Any) -> Path:
    """An image in two blocks along the first axis, packed by blosc."""
    group = zarr.open_group(str(path), mode="w", zarr_format=version)
    blosc = zarr.codecs.BloscCodec(cname="lz4") if version == 3 else numcodecs.Blosc("lz4")
    group.create_array("0", data=STEPS, chunks=(3, 20, 18), compressors=blosc, **options)
    scale = [{"type": "scale", "scale": [2.0, 0.5, 0.5]}]
    axes = [{"name": n, "type": "space", "unit": "millimeter"} for n in "zyx"]
    described = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]
    group.attrs.update({"multiscales": described} if version == 2 else {"ome": {"multiscales": described}})
    return path


def block(path: Path, version: int) -> Path:
    return path / "0" / ("1.0.0" if version == 2 else "c/1/0/0")


@pytest.mark.parametrize("version", [2, 3])
def test_whole_blocks_are_read(tmp_path: Path, version: int) -> None:
    path = written(tmp_path / "a.zarr", version)
    np.testing.assert_array_equal(io.read_image(path).array, STEPS)
    # One that is not there stands for an even background.
    block(path, version).unlink()
    assert not io.read_image(path).array[3:].any()


@pytest.mark.parametrize("version", [2, 3])
def test_every_block_that_is_read_is_checked_first(
    tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is a sound one: it is the bound that is made too small."""
    path = written(tmp_path / "a.zarr", version)
    monkeypatch.setattr("bedside.io.packed_blocks._MOST", 0)
    with pytest.raises(FormatError, match="a block: expected at most 0 bytes unpacked, got 2,160"):
        io.read_image(path)


def test_what_a_header_says_is_held_against_what_there_is(tmp_path: Path) -> None:
    file = block(written(tmp_path / "a.zarr", 2), 2)
    head, size = file.read_bytes()[:16], file.stat().st_size
    check_header(file, head, size, 2160)
    with pytest.raises(FormatError, match=rf"{file.name}: a block: expected {size:,} bytes, as its header says"):
        check_header(file, head, size - 1, 2160)
    with pytest.raises(FormatError, match="expected 16 bytes"):
        check_header(file, head[:7], 7, 2160)
    with pytest.raises(FormatError, match="at most 2,159 bytes unpacked, got 2,160"):
        check_header(file, head, size, 2159)


def test_blocks_in_a_shard_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zarr", 3, shards=(6, 20, 18))
    np.testing.assert_array_equal(io.read_image(path).array, STEPS)

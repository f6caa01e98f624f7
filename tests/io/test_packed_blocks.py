"""A packed block is as long as it says, and unpacks to no more than the array's blocks hold."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside import io
from bedside.core.errors import FormatError

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
def test_whole_blocks_are_read_and_cut_ones_are_named(tmp_path: Path, version: int) -> None:
    path = written(tmp_path / "a.zarr", version)
    np.testing.assert_array_equal(io.read_image(path).array, STEPS)
    file = block(path, version)
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    with pytest.raises(FormatError, match=rf"{file.name}: a block: expected {len(content):,} bytes, as its header"):
        io.read_image(path)
    file.write_bytes(content[:7])
    with pytest.raises(FormatError, match="expected 16 bytes"):
        io.read_image(path)
    # One that is not there stands for an even background.
    file.unlink()
    assert not io.read_image(path).array[3:].any()


@pytest.mark.parametrize("version", [2, 3])
def test_a_block_that_unpacks_to_more_than_it_may_hold_is_rejected(tmp_path: Path, version: int) -> None:
    path = written(tmp_path / "a.zarr", version)
    file = block(path, version)
    content = bytearray(file.read_bytes())
    struct.pack_into("<I", content, 4, 9 * 3 * 20 * 18 * 2)
    file.write_bytes(bytes(content))
    with pytest.raises(FormatError, match="expected at most 17,280 bytes unpacked, got 19,440"):
        io.read_image(path)


def test_blocks_in_a_shard_are_read(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zarr", 3, shards=(6, 20, 18))
    np.testing.assert_array_equal(io.read_image(path).array, STEPS)

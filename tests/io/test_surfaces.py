"""Files of surfaces are those that other readers of the formats expect."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from bedside.core.errors import FormatError
from bedside.core.geometry import Geometry
from bedside.core.region import Region
from bedside.core.surface import Surface
from bedside.imaging.surface import mask_surface
from bedside.io.surfaces import write_surface


@pytest.fixture
def surface() -> Surface:
    patch = np.zeros((5, 6, 7))
    patch[1:4, 1:5, 2:6] = 1
    return mask_surface(patch, Region.whole(patch.shape), Geometry.create(patch.shape, (1.0, 2.0, 3.0)))


def test_stl_is_read_as_its_description_says(surface: Surface, tmp_path: Path) -> None:
    write_surface(tmp_path / "s.STL", surface)
    content = (tmp_path / "s.STL").read_bytes()
    assert not content.startswith(b"solid")
    assert b"SPACE=LPS" in content[:80]
    (count,) = struct.unpack_from("<I", content, 80)
    assert count == len(surface.faces)
    assert len(content) == 84 + 50 * count
    for number in (0, count - 1):
        values = struct.unpack_from("<12fH", content, 84 + 50 * number)
        np.testing.assert_allclose(np.reshape(values[3:12], (3, 3)), surface.corners[number])
        np.testing.assert_allclose(values[:3], surface.normals[number], atol=1e-6)


def test_ply_is_read_as_its_description_says(surface: Surface, tmp_path: Path) -> None:
    write_surface(tmp_path / "s.ply", surface)
    head, _, body = (tmp_path / "s.ply").read_bytes().partition(b"end_header\n")
    lines = head.decode("ascii").splitlines()
    assert lines[:2] == ["ply", "format binary_little_endian 1.0"]
    assert f"element vertex {len(surface.vertices)}" in lines
    assert f"element face {len(surface.faces)}" in lines
    points = 12 * len(surface.vertices)
    np.testing.assert_allclose(np.frombuffer(body[:points], "<f4").reshape(-1, 3), surface.vertices, rtol=1e-6)
    faces = [struct.unpack_from("<B3I", body, points + 13 * n) for n in range(len(surface.faces))]
    assert [face[1:] for face in faces] == [tuple(face) for face in surface.faces.tolist()]
    assert {face[0] for face in faces} == {3}
    assert len(body) == points + 13 * len(surface.faces)


def test_another_suffix_is_rejected_and_an_older_file_is_kept(surface: Surface, tmp_path: Path) -> None:
    (tmp_path / "s.obj").write_text("old")
    with pytest.raises(FormatError, match=r"expected a name that ends in \.stl or \.ply"):
        write_surface(tmp_path / "s.obj", surface)
    assert (tmp_path / "s.obj").read_text() == "old"

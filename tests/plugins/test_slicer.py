"""The part of the module for 3D Slicer that needs no Slicer, against a running server."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - the name that all its users know
from numpy.typing import NDArray

import bedside
from tests.support.ui_server import running_ui

MODULE = Path(__file__).parents[2] / "plugins/slicer/Bedside"
LIBRARY = MODULE / "BedsideLib/server.py"
SHAPE = (14, 50, 60)


@pytest.fixture(scope="module")
def library() -> Any:
    spec = importlib.util.spec_from_file_location("bedside_slicer_server", LIBRARY)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An oblique volume as Slicer writes it."""
    array = np.random.default_rng(0).normal(0, 20, SHAPE)
    array[4:10, 12:34, 18:44] += 400
    image = sitk.GetImageFromArray(array.astype(np.int16))
    turn = np.deg2rad(25)
    image.SetDirection([np.cos(turn), -np.sin(turn), 0, np.sin(turn), np.cos(turn), 0, 0, 0, 1])
    image.SetSpacing((0.8, 0.9, 2.5))
    image.SetOrigin((-40.0, 12.0, 100.0))
    path = tmp_path_factory.mktemp("slicer") / "bedside-vtkMRMLScalarVolumeNode1.nrrd"
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with running_ui(tmp_path_factory.mktemp("server")) as line:
        yield line


def ras(path: Path, *index: float) -> NDArray[np.float64]:
    """Where a voxel (x, y, z) lies in Slicer's world, by ITK, which counts to the left and back."""
    point = sitk.ReadImage(str(path)).TransformContinuousIndexToPhysicalPoint(index)
    return np.array(point) * (-1, -1, 1)


def test_prompts_in_slicers_world_are_those_of_a_session(library: Any, told: dict[str, Any], volume: Path) -> None:
    server = library.Server(told["opened_url"], "")
    assert server.check() == bedside.__version__
    picture = server.open(str(volume))
    assert picture.shape == SHAPE
    number = picture.begin("block", "#e6b422")
    # A region of interest from edge to edge of the voxels 17 to 44, 11 to 34 and 3 to 10.
    corners = [ras(volume, x, y, z) for x in (16.5, 44.5) for y in (10.5, 34.5) for z in (2.5, 10.5)]
    boxed = picture.add_box(number, corners)
    clicked = picture.add_point(number, ras(volume, 30, 22, 6), True)
    path = [(50.0, 42.0, 6.0), (55.0, 45.0, 6.0)]
    stroked = picture.add_scribble(number, [ras(volume, *p) for p in path], False)
    session = bedside.Session(volume)
    session.add_box((17, 11, 3), (45, 35, 11))
    assert np.array_equal(boxed, session.mask)
    session.add_point((30, 22, 6))
    assert np.array_equal(clicked, session.mask)
    session.add_scribble(path, positive=False)
    assert np.array_equal(stroked, session.mask)
    assert picture.objects[number]["name"] == "block"
    assert picture.objects[number]["voxels"] == int(session.mask.sum())
    assert np.array_equal(picture.undo(number), clicked)
    assert np.array_equal(picture.redo(number), stroked)
    # Sent again, as after a new start of Slicer, its objects are there.
    again = server.open(str(volume))
    assert np.array_equal(again.mask(number), stroked)
    again.delete(number)
    assert number not in again.objects


def test_what_goes_wrong_is_one_line(library: Any, told: dict[str, Any], volume: Path, tmp_path: Path) -> None:
    with pytest.raises(library.ServerError, match="no access"):
        library.Server(told["url"], "another-token-of-length").check()
    with pytest.raises(library.ServerError, match="nothing answers at http"):
        library.Server("http://127.0.0.1:1", "x").check()
    with pytest.raises(library.ServerError, match="nothing answers at"):
        library.Server("127.0.0.1", "x").check()
    server = library.Server(told["url"], told["token"])
    with pytest.raises(library.ServerError, match=r"missing\.nrrd"):
        server.open(str(tmp_path / "missing.nrrd"))
    picture = server.open(str(volume))
    number = picture.begin("block", "#e6b422")
    with pytest.raises(library.ServerError, match="outside"):
        picture.add_point(number, (1e4, 0, 0), True)
    picture.delete(number)


@pytest.mark.parametrize("path", sorted(MODULE.rglob("*.py")), ids=lambda p: p.name)
def test_the_module_is_thin_and_of_slicers_python(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 9))
    imported = {
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    slicers = {"qt", "slicer", "vtk"}
    if path == LIBRARY:
        assert imported <= {"numpy", *sys.stdlib_module_names}
    else:
        assert imported <= {"BedsideLib", *slicers, *sys.stdlib_module_names}
        assert len(text.splitlines()) < 300

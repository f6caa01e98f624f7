"""The module's part on Slicer's nodes, with Slicer's own libraries and no windows, against a running server."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import bedside
from tests.support.ui_server import running_ui

pytest.importorskip("slicer_core", reason="slicer-core, Slicer's libraries as a package, is not installed")
import slicer
import slicer.util
import vtk

MODULE = Path(__file__).parents[2] / "plugins/slicer/Bedside"
if str(MODULE) not in sys.path:
    sys.path.insert(0, str(MODULE))

from BedsideLib import markups  # noqa: E402
from BedsideLib.server import Server  # noqa: E402

SHAPE = (14, 50, 60)
TURN = np.deg2rad(25)


def grid() -> NDArray[np.float64]:
    """Where voxels (x, y, z) lie in Slicer's world: turned about the axis of the body."""
    turned = np.eye(4)
    turned[:2, :2] = [[np.cos(TURN), -np.sin(TURN)], [np.sin(TURN), np.cos(TURN)]]
    turned[:3, 3] = (-40, 12, 100)
    return turned @ np.diag([0.8, 0.9, 2.5, 1.0])


def place(*index: float) -> list[float]:
    return [float(n) for n in (grid() @ [*index, 1.0])[:3]]


def matrix(array: NDArray[np.float64]) -> Any:
    made = vtk.vtkMatrix4x4()
    made.DeepCopy(array.ravel())
    return made


@pytest.fixture(scope="module")
def scene() -> Iterator[Any]:
    """A scene with the logics that Slicer's modules have."""
    made = slicer.vtkMRMLScene()
    logics = {"volumes": slicer.vtkSlicerVolumesLogic(), "segmentations": slicer.vtkSlicerSegmentationsModuleLogic()}
    before = vtk.vtkObject.GetGlobalWarningDisplay()
    # They miss the tables of colours, which belong to the windows.
    vtk.vtkObject.GlobalWarningDisplayOff()
    named = {}
    for name, logic in logics.items():
        logic.SetMRMLScene(made)
        named[name] = SimpleNamespace(logic=lambda logic=logic: logic)
    for kind in ("ROI", "Fiducial", "Curve"):
        made.RegisterNodeClass(getattr(slicer, f"vtkMRMLMarkups{kind}Node")())
    slicer.mrmlScene, slicer.modules = made, SimpleNamespace(**named)
    yield made
    vtk.vtkObject.SetGlobalWarningDisplay(before)


@pytest.fixture(scope="module")
def volume(scene: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """An oblique volume, and the file that Slicer writes of it."""
    array = np.random.default_rng(0).normal(0, 20, SHAPE)
    array[4:10, 12:34, 18:44] += 400
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "ct")
    slicer.util.updateVolumeFromArray(node, array.astype(np.int16))
    node.SetIJKToRASMatrix(matrix(grid()))
    path = tmp_path_factory.mktemp("slicer") / "ct.nrrd"
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode", "file")
    storage.SetFileName(str(path))
    assert storage.WriteData(node)
    return node, path


@pytest.mark.slow
def test_what_is_drawn_in_slicer_is_predicted_and_shown_as_a_session_does(
    scene: Any, volume: tuple[Any, Path], tmp_path: Path
) -> None:
    node, path = volume
    session = bedside.Session(path)
    region = scene.AddNewNodeByClass(markups.CLASSES["box"], "box")
    assert markups.corners_in(region) == []
    # From edge to edge of the voxels 17 to 44, 11 to 34 and 3 to 10, turned with the volume by a transform.
    region.SetSize(28 * 0.8, 24 * 0.9, 8 * 2.5)
    region.SetCenter(*[(a + b) / 2 * n for a, b, n in ((16.5, 44.5, 0.8), (10.5, 34.5, 0.9), (2.5, 10.5, 2.5))])
    turn = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "turn")
    turn.SetMatrixTransformToParent(matrix(grid() @ np.diag([1 / 0.8, 1 / 0.9, 1 / 2.5, 1])))
    region.SetAndObserveTransformNodeID(turn.GetID())
    points = scene.AddNewNodeByClass(markups.CLASSES["point"], "point")
    assert markups.points_in(points) == []
    points.AddControlPoint(*place(30, 22, 6))
    curve = scene.AddNewNodeByClass(markups.CLASSES["stroke"], "stroke")
    assert markups.stroke_in(curve) == []
    curve.AddControlPoint(*place(50, 42, 6))
    assert np.allclose(markups.stroke_in(curve), [place(50, 42, 6)])
    curve.AddControlPoint(*place(55, 45, 6))
    stroke = markups.stroke_in(curve)
    assert len(stroke) > 2
    assert np.allclose([stroke[0], stroke[-1]], [place(50, 42, 6), place(55, 45, 6)], atol=1e-3)

    segmentation = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segments")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(node)
    segments = [segmentation.GetSegmentation().AddEmptySegment("", name, [1, 0, 0]) for name in ("a", "b")]
    other = np.zeros(SHAPE, np.uint8)
    other[5, 20, 20:30] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(other, segmentation, segments[1], node)

    def shown(mask: NDArray[np.uint8]) -> NDArray[Any]:
        slicer.util.updateSegmentBinaryLabelmapFromArray(mask, segmentation, segments[0], node)
        kept = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segments[1], node)
        np.testing.assert_array_equal(kept, other)
        return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segments[0], node)

    with running_ui(tmp_path) as told:
        picture = Server(told["opened_url"], "").open(str(path))
        number = picture.begin("a", "#ff0000")
        session.add_box((17, 11, 3), (45, 35, 11))
        np.testing.assert_array_equal(shown(picture.add_box(number, markups.corners_in(region))), session.mask)
        session.add_point((30, 22, 6))
        (point,) = markups.points_in(points)
        np.testing.assert_array_equal(shown(picture.add_point(number, point, True)), session.mask)
        before = session.mask.copy()
        answer = picture.add_scribble(number, stroke, False)
        assert not answer[6, 42:46, 50:56].any()
        np.testing.assert_array_equal(shown(picture.undo(number)), before)
        np.testing.assert_array_equal(shown(np.zeros(SHAPE, np.uint8)), 0)

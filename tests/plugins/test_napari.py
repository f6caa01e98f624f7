"""The plugin for napari: what layers become without napari, and the panel in a real viewer where there is one."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bedside import Box, InitialMask, Lasso, Point, Scribble, Session
from bedside.core.errors import BedsideError, InputError, PromptError
from bedside.core.image import Image
from tests.support.ui_server import running_ui

SOURCE = Path(__file__).parents[2] / "plugins" / "napari" / "src"
if str(SOURCE) not in sys.path:
    sys.path.insert(0, str(SOURCE))

from napari_bedside.work import TOOLS, Tool, Work, at_server, spacing_of  # noqa: E402


class Layer:
    """An image layer as napari has it: samples, and where they lie."""

    name, multiscale = "image", False

    def __init__(self, data: NDArray[Any], affine: NDArray[Any] | None = None, rgb: bool = False) -> None:
        self.data, self.rgb = data, rgb
        self.ndim = data.ndim - rgb
        self._affine = np.eye(self.ndim) if affine is None else affine

    def data_to_world(self, place: Any) -> Any:
        return self._affine @ np.asarray(place) + 7


def volume() -> NDArray[np.float32]:
    array = np.random.default_rng(3).normal(-800, 20, (10, 28, 36)).astype(np.float32)
    array[3:8, 7:21, 9:27] += 900
    return array


def picture() -> NDArray[np.uint8]:
    array = np.full((40, 60, 3), 20, np.uint8)
    array[8:24, 12:36] = (200, 150, 120)
    return array


# What is drawn on slice 5 of the volume, or on the picture, in napari's order of axes, and the prompt that it is.
DRAWN: dict[Tool, tuple[list[list[float]], Any]] = {
    "point": ([[5, 14, 18]], Point((18, 14, 5))),
    "box": ([[5, 6.6, 8.7], [5, 6.6, 26.4], [5, 20.4, 26.4], [5, 20.4, 8.7]], Box((9, 7, 5), (27, 21, 6))),
    "scribble": ([[5, 12, 12], [5, 14, 20.5]], Scribble(((12, 12, 5), (20.5, 14, 5)))),
    "lasso": (
        [[5, 7, 9], [5, 7, 26], [5, 20, 26], [5, 20, 9]],
        Lasso(((9, 7, 5), (26, 7, 5), (26, 20, 5), (9, 20, 5))),
    ),
}


def flat(prompt: Any) -> Any:
    """A prompt of the volume on the picture: without its slice."""
    told = {k: v for k, v in prompt.to_dict().items() if k not in ("kind", "frame")}
    cut = {k: ([p[:2] for p in v] if k == "points" else v[:2] if isinstance(v, list) else v) for k, v in told.items()}
    return type(prompt).from_dict({**cut, "frame": "index"})


@pytest.mark.parametrize("kind", ["volume", "picture in colours"])
def test_what_is_drawn_is_answered_as_a_session_answers_it(kind: str) -> None:
    three = kind == "volume"
    array = volume() if three else picture()
    work, session = Work(Layer(array, rgb=not three)), Session(array)
    for number, tool in enumerate(TOOLS, start=1):
        places, prompt = DRAWN[tool]
        work.session().add_object()
        session.add_object()
        work.add(tool, np.array(places)[:, 0 if three else 1 :])
        session.add(prompt if three else flat(prompt))
        assert session.mask.any()
        np.testing.assert_array_equal(work.session().mask_of(number), session.mask, err_msg=tool)
        np.testing.assert_array_equal(work.labels, session.label_map(), err_msg=tool)


def test_each_point_in_time_has_objects_of_its_own() -> None:
    series = np.stack([volume(), volume()[::-1]])
    work, session = Work(Layer(series)), Session(series[1])
    assert work.add("point", np.array([[1, 4, 14, 18]])) == 1
    session.add(Point((18, 14, 4)))
    assert not work.labels[0].any()
    np.testing.assert_array_equal(work.labels[1], session.mask)
    work.add("point", np.array([[0, 5, 14, 18]]))
    assert work.labels[0].any()
    assert work.undo(0)
    assert not work.undo(0)
    assert not work.labels[0].any()
    assert work.redo(0)
    assert work.labels[0].any()
    np.testing.assert_array_equal(work.labels[1], session.mask)


def test_edits_of_the_labels_are_prompts_that_the_network_goes_on_from() -> None:
    work, session = Work(Layer(volume())), Session(volume())
    work.add("point", np.array(DRAWN["point"][0]))
    session.add(DRAWN["point"][1])
    # Painted, erased, and given to an object that is new.
    work.labels[5, 2:4, 2:6] = 1
    work.labels[5, 14, 18] = 0
    work.labels[3, 8:10, 10:14] = 2
    mask = session.mask
    mask[5, 2:4, 2:6], mask[5, 14, 18], mask[3, 8:10, 10:14] = 1, 0, 0
    edited = work.labels.copy()
    assert work.take_edits() == [(0, 1), (0, 2)]
    assert work.take_edits() == []
    np.testing.assert_array_equal(work.labels, edited)
    session.add(InitialMask(mask))
    np.testing.assert_array_equal(work.session().mask_of(1), session.mask)
    assert [one.label for one in work.session().objects] == [1, 2]
    # The next click begins from the edit, and undo leads back to before it.
    work.add("point", np.array([[2, 2, 2]]), positive=False, object_id=1)
    session.add(Point((2, 2, 2), False))
    np.testing.assert_array_equal(work.session().mask_of(1), session.mask)
    work.undo(0, 1)
    work.undo(0, 1)
    session.undo()
    session.undo()
    np.testing.assert_array_equal(work.session().mask_of(1), session.mask)


def test_spacing_is_that_of_the_layer_however_it_is_turned() -> None:
    assert spacing_of(Layer(volume()), 3) is None
    turn = np.deg2rad(25)
    rotation = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    layer = Layer(volume(), rotation @ np.diag([3.0, 0.5, 0.7]))
    assert spacing_of(layer, 3) == pytest.approx((0.7, 0.5, 3.0))
    seen: list[Image] = []

    def make(image: Image, name: str, model: str | None) -> Session:
        seen.append(image)
        return Session(image, model)

    Work(layer, make=make).session()
    assert seen[0].geometry.spacing == pytest.approx((0.7, 0.5, 3.0))
    assert seen[0].geometry.spacing_known
    # The axis of time has no millimetres.
    layer = Layer(np.stack([volume()] * 2), np.diag([60.0, 3.0, 0.5, 0.7]))
    assert spacing_of(layer, 3) == pytest.approx((0.7, 0.5, 3.0))


def test_what_cannot_be_segmented_is_said_and_changes_nothing() -> None:
    with pytest.raises(InputError, match="5 axes"):
        Work(Layer(np.zeros((1, 1, 2, 3, 4))))
    with pytest.raises(InputError, match="3 axes and RGB"):
        Work(Layer(np.zeros((2, 3, 4, 3)), rgb=True), time=False)
    work = Work(Layer(volume()))
    with pytest.raises(PromptError, match="outside the image"):
        work.add("point", np.array([[5, 14, 99]]))
    with pytest.raises(PromptError, match="centre of a voxel"):
        work.add("box", np.array([[5, 6.1, 6.1], [5, 6.4, 6.4]]))
    assert not work.labels.any()
    assert not work.session().objects


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The line of JSON that ``bedside ui`` prints."""
    with running_ui(tmp_path_factory.mktemp("server")) as line:
        wait_for(line)
        yield line


def wait_for(told: dict[str, Any]) -> None:
    for _ in range(100):
        try:
            at_server(told["opened_url"])
            return
        except InputError:
            time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["volume", "picture in colours"])
def test_a_server_answers_as_napari_itself(told: dict[str, Any], kind: str) -> None:
    three = kind == "volume"
    layer = Layer(volume(), np.diag([3.0, 0.8, 0.7])) if three else Layer(picture() // 2, np.diag([0.5, 0.5]), rgb=True)
    here, there = Work(layer), Work(layer, make=at_server(told["url"], told["token"]))
    for tool in TOOLS:
        places = np.array(DRAWN[tool][0])[:, 0 if three else 1 :]
        for work in (here, there):
            work.session().add_object()
            work.add(tool, places)
        np.testing.assert_array_equal(there.labels, here.labels, err_msg=tool)
    assert [one.voxels for one in there.session().objects] == [one.voxels for one in here.session().objects]
    for work in (here, there):
        work.labels[(5, 3, 3) if three else (3, 3)] = 2
        assert work.take_edits() == [(0, 2)]
        work.undo(0, 1)
        work.undo(0, 3)
        work.redo(0, 3)
    np.testing.assert_array_equal(there.labels, here.labels)
    # The same layer once more has the work of before.
    again = Work(layer, make=at_server(told["opened_url"]))
    again.session()
    np.testing.assert_array_equal(again.labels, here.labels)


@pytest.mark.slow
def test_points_in_time_are_sent_when_they_are_worked_on(told: dict[str, Any]) -> None:
    series = np.stack([volume() + n for n in range(3)])
    there, here = Work(Layer(series), make=at_server(told["opened_url"])), Work(Layer(series))
    for work in (here, there):
        assert work.add("point", np.array([[1, 5, 14, 18]])) == 1
    assert [there.begun(step) is None for step in range(3)] == [True, False, True]
    np.testing.assert_array_equal(there.labels, here.labels)
    assert there.labels[1].any()


@pytest.mark.slow
def test_a_server_that_went_is_said_and_one_that_came_back_goes_on(tmp_path: Path) -> None:
    layer, click = Layer(volume() + 5), np.array(DRAWN["point"][0])
    with running_ui(tmp_path) as told:
        wait_for(told)
        with pytest.raises(BedsideError, match="no access"):
            at_server(told["url"], "another-token-of-length")
        with pytest.raises(InputError, match="as http"):
            at_server("localhost:1", told["token"])
        work = Work(layer, make=at_server(told["url"], told["token"]))
        work.add("point", click)
        before = work.labels.copy()
    port = int(told["url"].rstrip("/").rpartition(":")[2])
    with pytest.raises(InputError, match="running 'bedside ui'"):
        work.add("point", click + 1)
    work.labels[0, 0, :3] = 1
    with pytest.raises(InputError, match="running 'bedside ui'"):
        work.take_edits()
    with running_ui(tmp_path, port) as told:
        wait_for(told)
        # The edit that could not be sent is sent now, before the click.
        work.add("point", click + np.array([0, 1, 1]))
        kinds = list(work.session().prompts(1).values())
    assert [kind if isinstance(kind, str) else kind.kind for kind in kinds] == ["point", "mask", "point"]
    here = Work(layer)
    here.add("point", click)
    np.testing.assert_array_equal(before, here.labels)
    here.labels[0, 0, :3] = 1
    here.add("point", click + np.array([0, 1, 1]))
    np.testing.assert_array_equal(work.labels, here.labels)


def test_the_manifest_is_one_of_napari() -> None:
    npe2 = pytest.importorskip("npe2")
    manifest = npe2.PluginManifest.from_file(SOURCE / "napari_bedside" / "napari.yaml")
    (command,) = manifest.contributions.commands
    assert [one.command for one in manifest.contributions.widgets] == [command.id]


@pytest.fixture
def panel(request: pytest.FixtureRequest) -> Any:
    """The panel in a viewer with an image of a scale."""
    pytest.importorskip("napari")
    pytest.importorskip("qtpy")
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        pytest.skip("napari's canvas needs a display with OpenGL, if only Xvfb")
    from napari_bedside.panel import Panel

    viewer = request.getfixturevalue("make_napari_viewer")()
    viewer.add_image(volume(), scale=(3, 0.8, 0.8), name="ct")
    made = Panel(viewer)
    viewer.window.add_dock_widget(made)
    made.begin()
    return made


def settle() -> None:
    from qtpy.QtWidgets import QApplication

    QApplication.processEvents()


@pytest.mark.parametrize("tool", TOOLS)
def test_what_is_drawn_on_the_panels_layers_is_answered(panel: Any, tool: Tool) -> None:
    places, prompt = DRAWN[tool]
    panel.choose(tool)
    if tool == "point":
        panel.points.add(places[0])
    else:
        kind = {"box": "rectangle", "scribble": "path", "lasso": "polygon"}[tool]
        panel.shapes.add(np.array(places), shape_type=kind)
    settle()
    session = Session(Image.from_array(volume(), (0.8, 0.8, 3.0)))
    session.add(prompt)
    np.testing.assert_array_equal(panel.labels.data, session.mask)
    np.testing.assert_allclose(panel.labels.scale, (3, 0.8, 0.8))
    # What was drawn has become a mask, and the layers are free for the next.
    assert (len(panel.points.data), len(panel.shapes.data)) == (0, 0)
    assert panel.objects.count() == 1
    panel.undo()
    assert not panel.labels.data.any()
    panel.redo()
    np.testing.assert_array_equal(panel.labels.data, session.mask)


def test_objects_signs_and_brush_of_the_panel(panel: Any) -> None:
    panel.points.add([5, 14, 18])
    settle()
    first = panel.labels.data.copy()
    panel.negative.setChecked(True)
    panel.points.add([4, 8, 10])
    settle()
    assert panel.labels.data[4, 8, 10] == 0
    panel.negative.setChecked(False)
    panel.begin_object()
    panel.points.add([2, 2, 2])
    settle()
    assert panel.objects.count() == 2
    assert panel.labels.data[2, 2, 2] == 2
    panel.objects.setCurrentRow(0)
    assert panel.labels.selected_label == 1
    before = len(panel.work.session().objects[0].prompts)
    panel.labels.brush_size = 1
    with panel.labels.block_history():
        panel.labels.paint((0, 0, 0), 1)
    assert panel.labels.data[0, 0, 0] == 1
    assert len(panel.work.session().objects[0].prompts) == before + 1
    assert first.any()


@pytest.mark.slow
def test_the_panel_predicts_at_a_server_that_is_named(panel: Any, told: dict[str, Any]) -> None:
    panel.points.add([5, 14, 18])
    settle()
    here = panel.labels.data.copy()
    warned: list[str] = []
    panel.warn = warned.append
    panel.server.setText("http://127.0.0.1:1")
    panel.token.setText("a-token-of-length")
    old = panel.work
    panel.begin()
    assert panel.work is old
    (said,) = warned
    assert "expected a running 'bedside ui'" in said
    panel.server.setText(told["url"])
    panel.token.setText(told["token"])
    panel.begin()
    assert len(warned) == 1
    assert not panel.labels.data.any()
    panel.points.add([5, 14, 18])
    settle()
    np.testing.assert_array_equal(panel.labels.data, here)
    assert panel.objects.count() == 1
    with panel.labels.block_history():
        panel.labels.paint((0, 0, 0), 1)
    assert panel.labels.data[0, 0, 0] == 1
    panel.undo()
    np.testing.assert_array_equal(panel.labels.data, here)
    # What was done at the server is there again, and in the list.
    panel.begin()
    np.testing.assert_array_equal(panel.labels.data, here)
    assert panel.objects.count() == 1


@pytest.mark.parametrize("active", ["points", "shapes", "labels", None])
def test_shortcuts_are_those_of_the_page_whichever_layer_is_active(panel: Any, active: str | None) -> None:
    from napari_bedside.panel import KEYS

    # Of Qt's window and not of the viewer: keys go to the layer that is active first.
    handler = panel.viewer.window._qt_viewer._key_map_handler
    for key, tool in KEYS.items():
        panel.viewer.layers.selection.active = None if active is None else getattr(panel, active)
        handler.press_key(key)
        handler.release_key(key)
        assert panel.tool == tool
        layer = panel.points if tool == "point" else panel.shapes
        assert panel.viewer.layers.selection.active is layer
        assert str(layer.mode) != "pan_zoom"

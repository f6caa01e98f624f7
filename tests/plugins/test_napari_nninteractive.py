"""nnInteractive's plugin for napari, driven as its user drives it, with Bedside's server in place of its own."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bedside
from bedside.core.image import Image
from bedside.core.prompts import Scribble
from tests.support.ui_server import running_serve

pytest.importorskip("napari_nninteractive", reason="nnInteractive's plugin for napari is not installed")
if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
    pytest.skip("napari's canvas needs a display with OpenGL, if only Xvfb", allow_module_level=True)

from napari_nninteractive.widget_main import nnInteractiveWidget

TOKEN = "a-token-for-tests-only"
SHAPE = (10, 28, 36)
SPACING = (3.0, 0.8, 0.7)


def volume() -> Any:
    array = np.random.default_rng(3).normal(-800, 20, SHAPE).astype(np.float32)
    array[3:8, 7:21, 9:27] += 900
    return array


def until(done: Callable[[], bool]) -> None:
    """Let Qt work until something is so: the plugin connects and sends on threads of its own."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + 300
    while not done():
        QApplication.processEvents()
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_user_picks_the_address_and_works_as_always(make_napari_viewer: Any, tmp_path: Path) -> None:
    viewer = make_napari_viewer()
    viewer.add_image(volume(), scale=SPACING, name="ct")
    widget = nnInteractiveWidget(viewer)
    viewer.window.add_dock_widget(widget)
    session = bedside.Session(Image.from_array(volume(), SPACING[::-1]))

    def shown() -> Any:
        return viewer.layers[widget.label_layer_name].data

    (tmp_path / "token").write_text(TOKEN)
    with running_serve(tmp_path) as url:
        widget.mode_switch._on_button_pressed(1)
        widget.server_url_edit.setText(url)
        widget.api_key_edit.setText("another-token-of-length")
        widget.on_connect_toggle()
        until(lambda: widget.remote_status_label.text() not in ("not connected", "connecting…"))
        assert not widget._remote_connected
        widget.api_key_edit.setText(TOKEN)
        widget.on_init()
        until(lambda: widget.session is not None and widget.point_layer_name in viewer.layers)
        viewer.dims.set_point(0, 5 * SPACING[0])

        viewer.layers[widget.point_layer_name].add([5, 14, 18])
        session.add_point((18, 14, 5))
        np.testing.assert_array_equal(shown(), session.mask)
        # Off the object, by the other sign.
        widget.prompt_button._on_button_pressed(1)
        viewer.layers[widget.point_layer_name].add([5, 8, 10])
        session.add_point((10, 8, 5), positive=False)
        np.testing.assert_array_equal(shown(), session.mask)
        widget.on_undo()
        session.undo()
        np.testing.assert_array_equal(shown(), session.mask)

        # A stroke of its brush, on the slice that is shown.
        widget.prompt_button._on_button_pressed(0)
        widget.interaction_button._on_button_pressed(2)
        scribbles = viewer.layers[widget.scribble_layer_name]
        before = scribbles.data.copy()
        with scribbles.block_history():
            scribbles.paint((5, 12, 15), 1)
        stroke = np.argwhere(scribbles.data != before)
        assert len(stroke)
        session.add(Scribble(tuple(map(tuple, stroke[:, ::-1].astype(float))), connected=False, thickness=1.0))
        np.testing.assert_array_equal(shown(), session.mask)

        # Another object, by a box.
        assert shown().any()
        widget.on_next()
        assert not shown().any()
        session.add_object()
        widget.interaction_button._on_button_pressed(1)
        corners = [[5, 7, 9], [5, 7, 26], [5, 20, 26], [5, 20, 9]]
        viewer.layers[widget.bbox_layer_name].add(np.array(corners), shape_type="rectangle")
        # The plugin takes the far corner for the end.
        session.add_box((9, 7, 5), (26, 20, 6))
        np.testing.assert_array_equal(shown(), session.mask)
        widget.on_reset_interactions()
        assert not shown().any()
    # A server that went away is said, and what was done stays in the viewer.
    widget.interaction_button._on_button_pressed(0)
    viewer.layers[widget.point_layer_name].add([5, 14, 18])
    until(lambda: widget.remote_status_label.text() == "session lost")
    assert not widget._remote_connected

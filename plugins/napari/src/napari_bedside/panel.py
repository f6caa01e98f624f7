"""The panel: tools, objects, undo; what is drawn on its layers becomes prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.layers import Image, Labels, Points, Shapes
from napari.utils.notifications import show_warning
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from bedside.core.errors import BedsideError
from napari_bedside.work import TOOLS, Tool, Work, at_server, in_process

KEYS: dict[str, Tool] = {"P": "point", "B": "box", "S": "scribble", "L": "lasso"}
"""Shortcuts of the tools, those of Bedside's page."""
_MODES: dict[Tool, str] = {
    "point": "add",
    "box": "add_rectangle",
    "scribble": "add_path",
    "lasso": "add_polygon_lasso",
}
_COLOURS = {True: "lime", False: "red"}


class Panel(QWidget):
    """Bedside's panel in a viewer.

    Args:
        napari_viewer: The viewer.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self.viewer = napari_viewer
        self.warn: Callable[[str], object] = show_warning
        self.work: Work | None = None
        self.points: Points | None = None
        self.shapes: Shapes | None = None
        self.labels: Labels | None = None
        self.tool: Tool = "point"
        self._busy = False
        self._listed = 0
        self._build()
        self.viewer.layers.events.inserted.connect(self._list_layers)
        self.viewer.layers.events.removed.connect(self._list_layers)
        self.viewer.dims.events.current_step.connect(self._moved)
        self._bind(self.viewer)
        self._list_layers()

    def _bind(self, owner: Any) -> None:
        """Give a viewer or a layer the shortcuts: those of the layer that is active come before the viewer's."""
        for key, tool in KEYS.items():
            owner.bind_key(key, lambda _, chosen=tool: self.choose(chosen), overwrite=True)
        owner.bind_key("N", lambda _: self.begin_object(), overwrite=True)
        owner.bind_key("Control-Alt-Z", lambda _: self.undo(), overwrite=True)

    # What it shows

    def _build(self) -> None:
        self.layers = QComboBox()
        self.time = QCheckBox("first axis is time")
        self.server, self.token = QLineEdit(), QLineEdit()
        self.server.setPlaceholderText("in napari; or http://127.0.0.1:8765")
        self.server.setToolTip("Address that 'bedside ui' or 'bedside serve' prints; empty to predict within napari")
        self.token.setPlaceholderText("token, where the address has none")
        self.token.setEchoMode(QLineEdit.EchoMode.Password)
        self.start = QPushButton("Segment this layer")
        self.start.clicked.connect(self.begin)
        self.negative = QCheckBox("negative: not the object")
        self.negative.toggled.connect(self._colour)
        self._buttons = QButtonGroup(self)
        tools = QHBoxLayout()
        for key, tool in KEYS.items():
            button = QPushButton(f"{tool} ({key})")
            button.setCheckable(True)
            button.clicked.connect(lambda _, chosen=tool: self.choose(chosen))
            self._buttons.addButton(button, TOOLS.index(tool))
            tools.addWidget(button)
        self.objects = QListWidget()
        self.objects.currentItemChanged.connect(self._select)
        another, undo, redo = QPushButton("New object (N)"), QPushButton("Undo"), QPushButton("Redo")
        another.clicked.connect(self.begin_object)
        undo.clicked.connect(self.undo)
        redo.clicked.connect(self.redo)
        below = QHBoxLayout()
        for button in (another, undo, redo):
            below.addWidget(button)
        whole = QVBoxLayout(self)
        for widget in (
            QLabel("Image layer"),
            self.layers,
            self.time,
            QLabel("Predict"),
            self.server,
            self.token,
            self.start,
        ):
            whole.addWidget(widget)
        whole.addLayout(tools)
        for widget in (self.negative, QLabel("Objects"), self.objects):
            whole.addWidget(widget)
        whole.addLayout(below)
        note = QLabel("Paint and erase in the Labels layer: the network goes on from it. Not a medical device.")
        note.setWordWrap(True)
        whole.addWidget(note)

    def _list_layers(self, _: Any = None) -> None:
        chosen = self.layers.currentText()
        self.layers.clear()
        self.layers.addItems([layer.name for layer in self.viewer.layers if isinstance(layer, Image)])
        if self.layers.findText(chosen) >= 0:
            self.layers.setCurrentText(chosen)

    def _list_objects(self) -> None:
        session = None if self.work is None else self.work.begun(self.step)
        objects = () if session is None else session.objects
        current = None if session is None else session.current
        self.objects.blockSignals(True)
        self.objects.clear()
        for one in objects:
            grade = "" if one.grade is None else f", {one.grade}"
            item = QListWidgetItem(f"{one.label}: {one.name}, {one.voxels} voxels{grade}")
            item.setData(Qt.ItemDataRole.UserRole, one.id)
            self.objects.addItem(item)
            if current is not None and one.id == current.id:
                self.objects.setCurrentItem(item)
        self.objects.blockSignals(False)

    def _moved(self, _: Any = None) -> None:
        """List the objects of another point in time; those of another slice are the same."""
        if self.work is not None and self.work.time and self.step != self._listed:
            self._listed = self.step
            with self._told():
                self._list_objects()

    # What a user does

    @property
    def step(self) -> int:
        """The point in time that is shown."""
        assert self.work is not None
        return self._step_of(self.work)

    def _step_of(self, work: Work) -> int:
        return work.step_of(work.layer.world_to_data(self.viewer.dims.point[-work.layer.ndim :])) if work.time else 0

    def begin(self) -> None:
        """Begin to segment the layer that is chosen, on layers of the panel's own."""
        with self._told():
            if not self.layers.currentText():
                self.warn("Bedside: open an image first")
                return
            layer = self.viewer.layers[self.layers.currentText()]
            make = at_server(self.server.text(), self.token.text()) if self.server.text().strip() else in_process
            work = Work(layer, True if self.time.isChecked() else None, make=make)
            # Sent now, and not with the first click; what was done of it before is there again.
            work.session(self._step_of(work))
            self.work, self._listed = work, self._step_of(work)
            name = layer.name
            placed = {
                key: getattr(layer, key)
                for key in ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
            }
            self.labels = self.viewer.add_labels(self.work.labels, name=f"{name} objects", **placed)
            self.shapes = self.viewer.add_shapes(ndim=layer.ndim, name=f"{name} strokes", opacity=0.5, **placed)
            self.points = self.viewer.add_points(ndim=layer.ndim, name=f"{name} clicks", size=3, **placed)
            for own in (self.labels, self.shapes, self.points):
                self._bind(own)
            self.labels.events.paint.connect(self._painted)
            self.points.events.data.connect(lambda event: self._drawn(self.points, event))
            self.shapes.events.data.connect(lambda event: self._drawn(self.shapes, event))
            self._list_objects()
            self.choose(self.tool)

    def choose(self, tool: Tool) -> None:
        """Draw with a tool from now on."""
        self.tool = tool
        self._buttons.button(TOOLS.index(tool)).setChecked(True)
        layer = self.points if tool == "point" else self.shapes
        if layer is not None:
            self.viewer.layers.selection.active = layer
            layer.mode = _MODES[tool]
            self._colour()

    def begin_object(self) -> None:
        """Begin another object with the next prompt."""
        with self._told():
            if self.work is not None:
                self.work.session(self.step).add_object()
                self._list_objects()

    def undo(self) -> None:
        """Undo the last prompt of the object that is chosen."""
        self._back("undo")

    def redo(self) -> None:
        """Put back what was last undone."""
        self._back("redo")

    def _back(self, way: str) -> None:
        with self._told():
            if self.work is not None:
                getattr(self.work, way)(self.step)
                self._show()

    def _select(self, item: QListWidgetItem | None) -> None:
        if item is None or self.work is None:
            return
        with self._told():
            session = self.work.session(self.step)
            session.select(item.data(Qt.ItemDataRole.UserRole))
            current = session.current
            if self.labels is not None and current is not None:
                self.labels.selected_label = current.label

    def _colour(self) -> None:
        colour = _COLOURS[not self.negative.isChecked()]
        if self.points is not None and self.shapes is not None:
            # A colour is given to what is selected, which may be gone.
            self.points.selected_data, self.shapes.selected_data = set(), set()
            self.points.current_face_color = colour
            self.shapes.current_edge_color = colour

    # What layers say

    def _drawn(self, layer: Any, event: Any) -> None:
        """Take what was drawn last as a prompt."""
        if self._busy or self.work is None or str(getattr(event.action, "value", event.action)) != "added":
            return
        if len(layer.data) == 0:
            return
        places = np.array(layer.data[-1])
        tool: Tool = "point" if layer is self.points else self.tool if self.tool != "point" else "box"
        with self._told():
            self.work.add(tool, places, not self.negative.isChecked())
            self._show()
        # The layer goes on with what was drawn until its event is over.
        QTimer.singleShot(0, self._clear)

    def _clear(self) -> None:
        self._busy = True
        try:
            if self.points is not None and len(self.points.data):
                self.points.data = np.empty((0, self.points.ndim))
            if self.shapes is not None and len(self.shapes.data):
                self.shapes.data = []
        finally:
            self._busy = False

    def _painted(self, _: Any) -> None:
        """Take an edit of the labels as a prompt."""
        with self._told():
            if self.work is not None:
                self.work.take_edits()
                self._show()

    def _show(self) -> None:
        if self.labels is not None:
            self.labels.refresh()
        self._list_objects()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Show an error as one line, and leave everything as it was."""
        try:
            yield
        except BedsideError as error:
            self.warn(f"Bedside: {error}")

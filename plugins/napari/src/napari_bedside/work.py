"""An image layer, the sessions behind it, and its objects as labels; knows nothing of Qt and nothing of a viewer."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bedside import Box, Geometry, Image, InitialMask, Lasso, Point, Scribble, Session
from bedside.client import Client, RemoteSession
from bedside.core.errors import InputError, PromptError

Tool = Literal["point", "box", "scribble", "lasso"]
TOOLS: tuple[Tool, ...] = ("point", "box", "scribble", "lasso")


AnySession = Session | RemoteSession
MakeSession = Callable[[Image, str, str | None], AnySession]
"""Makes a session of an image, its name, and the name of a model, None for the one that Bedside chooses."""


def in_process(image: Image, name: str, model: str | None) -> Session:
    """Return a session in this process."""
    del name
    return Session(image, model)


def at_server(address: str, token: str = "") -> MakeSession:
    """Return what makes sessions on a server.

    Args:
        address: Of 'bedside ui' or 'bedside serve', as "http://127.0.0.1:8765"; with its token, as they print it, too.
        token: Secret of the server's start, where the address has none.

    Raises:
        BedsideError: Nothing of Bedside answers there, or the token is wrong.
    """
    server = Client(address.strip(), token=token.strip() or None)

    def make(image: Image, name: str, model: str | None) -> RemoteSession:
        session = server.send(image, name)
        if model is not None:
            session.set_model(model)
        return session

    # Nothing in napari says that a panel has gone.
    weakref.finalize(make, server.disconnect)
    return make


def spacing_of(layer: Any, axes: int) -> tuple[float, ...] | None:
    """Return how far apart the samples of a layer's last axes lie, (x, y[, z]); None where the layer has no scale.

    Scale, rotation, shear and affine of the layer count.
    """
    zero = np.zeros(layer.ndim)
    steps = [np.asarray(layer.data_to_world(row)) - np.asarray(layer.data_to_world(zero)) for row in np.eye(layer.ndim)]
    lengths = [float(np.linalg.norm(step)) for step in steps][-axes:]
    return None if np.allclose(lengths, 1) else tuple(lengths[::-1])


class Work:
    """The objects on an image layer, at each of its points in time.

    Args:
        layer: An image layer: a picture or a volume, grey or RGB, over time where it has an axis more.
        time: Whether its first axis is time; by default where it has an axis more than a picture or volume.
        model: Name of a model; by default the bundled one for pictures or for volumes.
        make: Makes the sessions, in this process or on a server.

    Raises:
        InputError: The layer has too many axes, or too few.
    """

    def __init__(
        self,
        layer: Any,
        time: bool | None = None,
        model: str | None = None,
        make: MakeSession = in_process,
    ) -> None:
        most = 2 if layer.rgb else 3
        self.time = layer.ndim > most if time is None else time
        self.axes = layer.ndim - self.time
        if not 2 <= self.axes <= most:
            raise InputError(
                f"layer '{layer.name}'",
                expected="a picture or a volume, over time or not; RGB for pictures only",
                got=f"{layer.ndim} axes{' and RGB' if layer.rgb else ''}",
            )
        self.layer, self._model, self._make = layer, model, make
        self._sessions: dict[int, AnySession] = {}
        self.labels: NDArray[np.uint16] = np.zeros(self._data.shape[: layer.ndim], np.uint16)
        """Every object's label at its voxels, of the layer's shape: what a Labels layer shows."""
        self._shown = self.labels.copy()

    @property
    def _data(self) -> Any:
        return self.layer.data[0] if self.layer.multiscale else self.layer.data

    def session(self, step: int = 0) -> AnySession:
        """Return the session of a point in time, begun when it is first asked for; a server may know objects of it."""
        if step not in self._sessions:
            array = np.asarray(self._data[step] if self.time else self._data)
            if self.layer.rgb:
                array = array[..., :3]
            spatial = array.shape[: self.axes]
            image = Image(array, Geometry.create(spatial, spacing_of(self.layer, self.axes)))
            name = f"{self.layer.name} {step}" if self.time else str(self.layer.name)
            self._sessions[step] = self._make(image, name, self._model)
            if self._sessions[step].objects:
                self._paint(step)
        return self._sessions[step]

    def begun(self, step: int = 0) -> AnySession | None:
        """Return the session of a point in time where there is one: to look at one does not send it to a server."""
        return self._sessions.get(step)

    def step_of(self, place: Sequence[float]) -> int:
        """Return the point in time of a place in the layer's coordinates."""
        return int(np.clip(round(float(place[0])), 0, len(self._data) - 1)) if self.time else 0

    # Prompts

    def add(self, tool: Tool, places: NDArray[Any], positive: bool = True, object_id: int | None = None) -> int:
        """Take what was drawn as a prompt; returns its point in time.

        Args:
            tool: What it was drawn with.
            places: Vertices, (n, axes of the layer), in its coordinates.
            positive: Whether it is on the object.
            object_id: The object; the current one of that time by default.

        Raises:
            BedsideError: It lies outside the image, or the model cannot take it; nothing has changed then.
        """
        places = np.atleast_2d(np.asarray(places, dtype=float))
        step = self.step_of(places[0])
        self.take_edits()
        session = self.session(step)
        prompt = _prompt(tool, places[:, self.time :], positive)
        session.add(prompt, object_id=object_id)
        self._paint(step)
        return step

    def take_edits(self) -> list[tuple[int, int]]:
        """Make a mask prompt of what was painted or erased in ``labels``; returns time and object of each.

        The object that a voxel belonged to loses it, and the one whose label it has now gets it. Labels that no object
        has begin one.
        """
        changed = self.labels != self._shown
        edited = []
        steps = (
            np.flatnonzero(changed.reshape(len(changed), -1).any(axis=1)) if self.time else [0] * bool(changed.any())
        )
        for step in map(int, steps):
            where = step if self.time else ...
            now, before, differs = self.labels[where], self._shown[where], changed[where]
            session = self.session(step)
            for label in sorted({int(n) for n in np.unique([now[differs], before[differs]])} - {0}):
                known = next((one for one in session.objects if one.label == label), None)
                found = known or session.add_object(label=label)
                mask = session.mask_of(found.id)
                mask[differs & (before == label)] = 0
                mask[differs & (now == label)] = 1
                session.add(InitialMask(mask), object_id=found.id)
                edited.append((step, found.id))
            self._paint(step)
        return edited

    def undo(self, step: int, object_id: int | None = None) -> bool:
        """Undo the last prompt of an object; returns whether there was one."""
        self.take_edits()
        done = self.session(step).undo(object_id) is not None
        self._paint(step)
        return done

    def redo(self, step: int, object_id: int | None = None) -> bool:
        """Put back what was last undone; returns whether there was something."""
        self.take_edits()
        done = self.session(step).redo(object_id) is not None
        self._paint(step)
        return done

    def _paint(self, step: int) -> None:
        session = self.session(step)
        where = step if self.time else ...
        self.labels[where] = session.label_map() if session.objects else 0
        self._shown[where] = self.labels[where]


def _prompt(tool: Tool, places: NDArray[Any], positive: bool) -> Point | Box | Scribble | Lasso:
    """Return a prompt of vertices (n, axes) in the order of the array, with the centre of the first voxel at 0."""
    points = [tuple(map(float, place[::-1])) for place in places]
    if tool == "point":
        return Point(points[0], positive)
    if tool == "box":
        low, high = places.min(axis=0)[::-1], places.max(axis=0)[::-1]
        flat = high - low < 1e-6
        # A box holds the voxels whose centres it holds; drawn on a slice it is one slice thick.
        low = np.where(flat, np.round(low), np.ceil(low))
        high = np.where(flat, low + 1, np.floor(high) + 1)
        if not (low < high).all():
            raise PromptError("box", expected="one that holds the centre of a voxel", got="a smaller one")
        return Box(tuple(map(float, low)), tuple(map(float, high)), positive)
    if tool == "scribble":
        return Scribble(tuple(points), positive)
    return Lasso(tuple(points), positive)

"""Talk to ``bedside ui``: Slicer's coordinates in, masks as arrays out. Needs NumPy alone, and Python 3.9.

Slicer's world is RAS in mm; the server is asked in voxels of the image, so that no axis can be taken for another.
"""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
import zlib

import numpy as np

LONGEST = 900.0
"""Seconds to wait for a prediction."""
TOUCH = 1e-3
"""Part of a voxel that rounding may add to a box."""


class ServerError(Exception):
    """What the server, or the lack of one, has to say, in one line."""


class Server:
    """A running ``bedside ui`` on this machine.

    Args:
        address: As "http://127.0.0.1:8765".
        token: The secret that the command prints behind ``token=``, or that is in its ``--token-file``.
    """

    def __init__(self, address: str, token: str) -> None:
        head, _, rest = address.strip().partition("?")
        self.address = head.rstrip("/")
        # The whole address, as the command prints it, will do.
        self.token = token.strip() or rest.partition("token=")[2].partition("&")[0]

    def check(self) -> str:
        """Return the server's version.

        Raises:
            ServerError: Nothing answers, or the token is wrong.
        """
        return str(self.ask("GET", "/api/state")["version"])

    def open(self, path: str) -> Picture:
        """Open an image in a file.

        Args:
            path: On this machine.

        Raises:
            ServerError: It cannot be read.
        """
        return Picture(self, self.ask("POST", "/api/images", {"path": path}))

    def ask(self, method: str, path: str, body: dict | None = None) -> dict:
        """Return the JSON that comes back.

        Raises:
            ServerError: The server's own message, or that there is none.
        """
        data = None if method == "GET" else json.dumps(body or {}).encode()
        headers = {"Authorization": "Bearer " + self.token, "Content-Type": "application/json"}
        try:
            request = urllib.request.Request(self.address + path, data=data, method=method, headers=headers)
            # No proxy: what is asked for lies on this machine.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=LONGEST) as response:
                content = response.read()
            return json.loads(content) if content else {}
        except urllib.error.HTTPError as error:
            raise ServerError(_message(error)) from error
        except (OSError, ValueError) as error:
            raise ServerError(
                f"nothing answers at {self.address}: start it with 'bedside ui --no-browser' ({error})"
            ) from error


def _message(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.loads(error.read())["message"])
    except (ValueError, KeyError, TypeError):
        return f"status {error.code}"


class Picture:
    """An image that is open on the server.

    Attributes:
        shape: Voxels, (z, y, x), as ``slicer.util.arrayFromVolume`` has them.
        objects: What the server says of each object, by its number.
    """

    def __init__(self, server: Server, told: dict) -> None:
        self._server = server
        self._at = f"/api/images/{told['image']}"
        self.shape = tuple(told["shape"])
        self._to_index = np.linalg.inv(np.asarray(told["affine"], dtype=float))
        self.objects = {info["id"]: info for info in told["objects"]}

    # Prompts

    def begin(self, name: str, colour: str) -> int:
        """Begin an object; returns its number.

        Args:
            name: What to call it.
            colour: "#rrggbb".
        """
        change = self._change("POST", "/objects", {"name": name, "colour": colour})
        return int(change["object"])

    def add_point(self, number: int, ras: object, positive: bool) -> np.ndarray:
        """Add a click at a point of Slicer's world; returns the object's mask."""
        (position,) = self.to_index([ras])
        return self._prompt(number, {"kind": "point", "position": position, "positive": positive})

    def add_box(self, number: int, corners: object) -> np.ndarray:
        """Add the box around points of Slicer's world, as the eight corners of a region of interest.

        Args:
            number: The object.
            corners: (n, 3) RAS mm. The box is in the image's own axes and holds all of them.
        """
        index = np.asarray(self.to_index(corners))
        # A voxel's centre has a whole number, a box has edges; what touches a voxel does not hold it.
        low, high = np.floor(index.min(axis=0) + 0.5 + TOUCH), np.ceil(index.max(axis=0) + 0.5 - TOUCH)
        return self._prompt(number, {"kind": "box", "low": low.tolist(), "high": high.tolist(), "positive": True})

    def add_scribble(self, number: int, points: object, positive: bool) -> np.ndarray:
        """Add a stroke through points of Slicer's world, (n, 3) RAS mm; returns the object's mask."""
        return self._prompt(number, {"kind": "scribble", "points": self.to_index(points), "positive": positive})

    def undo(self, number: int) -> np.ndarray:
        """Undo the object's last prompt; returns its mask."""
        self._change("POST", f"/objects/{number}/undo")
        return self.mask(number)

    def redo(self, number: int) -> np.ndarray:
        """Put back what was last undone; returns the object's mask."""
        self._change("POST", f"/objects/{number}/redo")
        return self.mask(number)

    def delete(self, number: int) -> None:
        """Delete an object."""
        self._change("DELETE", f"/objects/{number}")

    # Masks

    def mask(self, number: int) -> np.ndarray:
        """Return an object's mask, uint8 0/1 of ``shape``."""
        patch = self._server.ask("GET", f"{self._at}/objects/{number}/mask")
        shape = np.subtract(patch["stop"], patch["start"])
        mask = np.zeros(self.shape, np.uint8)
        if shape.min() > 0:
            packed = np.frombuffer(zlib.decompress(base64.b64decode(patch["bits"])), np.uint8)
            part = np.unpackbits(packed, count=int(np.prod(shape))).reshape(shape)
            mask[tuple(map(slice, patch["start"], patch["stop"]))] = part
        return mask

    def to_index(self, points: object) -> list:
        """Return continuous voxels (x, y, z) of points (n, 3) in RAS mm."""
        world = np.asarray(points, dtype=float)
        index = world @ self._to_index[:3, :3].T + self._to_index[:3, 3]
        return [[float(v) for v in row] for row in index]

    def _prompt(self, number: int, prompt: dict) -> np.ndarray:
        self._change("POST", "/prompts", {"prompt": {"frame": "index", **prompt}, "object": number})
        return self.mask(number)

    def _change(self, method: str, path: str, body: dict | None = None) -> dict:
        change = self._server.ask(method, self._at + path, body)
        self.objects = {info["id"]: info for info in change.get("objects", self.objects.values())}
        return change

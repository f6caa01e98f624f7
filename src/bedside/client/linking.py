"""A second image beside one that is open on a server, with the methods of ``Session``."""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray

from bedside.client.choices import choices_told
from bedside.client.connection import Connection
from bedside.core.geometry import Geometry
from bedside.core.prompts import Prompt
from bedside.core.region import Region
from bedside.serve.errors import NotFoundError


@dataclass(frozen=True)
class RemoteSecond:
    """A second image on a server.

    Attributes:
        name: Of its file.
        geometry: Its grid, as it lies in the world of the first image.
        modality: "CT", "MR", "PET", ...; None where unknown.
        shift: By how much registration moved it, mm; None where the files' places were taken.
        turn: By how much registration turned it, degrees; None where the files' places were taken.
        overlap: Part of the first image that it covers, 0 to 1.
        notes: What a user should know, a sentence each.
    """

    name: str
    geometry: Geometry
    modality: str | None
    shift: float | None
    turn: float | None
    overlap: float
    notes: tuple[str, ...]

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> RemoteSecond:
        """Return the second image that a server tells of."""
        geometry = Geometry.create(told["shape"], told["spacing"], told["origin"], told["direction"])
        named = {name: told[name] for name in ("name", "modality", "shift", "turn", "overlap")}
        return cls(geometry=geometry, notes=tuple(told["notes"]), **named)


class Linking:
    """Linking a second image; a part of ``RemoteSession``."""

    _connection: Connection

    @abstractmethod
    def _at(self, path: str) -> str: ...

    @abstractmethod
    def _region(self, change: Mapping[str, Any]) -> Region: ...

    @property
    def second(self) -> RemoteSecond | None:
        """The second image; None where none is linked."""
        try:
            return RemoteSecond.of(self._connection.ask("GET", self._at("/second")))
        except NotFoundError:
            return None

    def link(
        self, path: str | Path, *, series: str | None = None, volume: int | None = None, register: bool = False
    ) -> RemoteSecond:
        """Link a second image of the patient, by its path on the server's machine; see ``Session.link``.

        Args:
            path: A volume, or a folder of DICOM slices.
            series: Which DICOM series, where there are several.
            volume: Which volume, where there are several, from 0.
            register: Whether to find by rigid registration how the patient moved between the two.

        Raises:
            InputError: A picture, no known spacing, another frame of reference without registration, or no overlap.
            FormatError: It cannot be read.
            ChoiceError: It holds several images and none was chosen.
        """
        asked: dict[str, Any] = {"path": str(Path(path).absolute()), "register": register}
        asked.update({name: value for name, value in (("series", series), ("volume", volume)) if value is not None})
        with choices_told(self._connection, asked["path"]):
            return RemoteSecond.of(self._connection.ask("PUT", self._at("/second"), asked))

    def unlink(self) -> None:
        """Let go of the second image; what was segmented on it stays."""
        self._connection.ask("DELETE", self._at("/second"))

    def second_slice(self, axis: int, index: int) -> NDArray[np.float32]:
        """Return the second image on one slice of the first one's grid; see ``LinkedImage.slice``."""
        query = urlencode({"axis": axis, "index": index})
        content, _ = self._connection.fetch("GET", self._at(f"/second/slice.npy?{query}"))
        found: NDArray[np.float32] = np.load(io.BytesIO(content), allow_pickle=False)
        return found

    def add_on_second(self, prompt: Prompt, *, object_id: int | None = None) -> Region:
        """Have the model predict a prompt on the second image; see ``Session.add_on_second``."""
        asked: dict[str, Any] = {"prompt": prompt.to_dict(), "on": "second"}
        if object_id is not None:
            asked["object"] = object_id
        return self._region(self._connection.ask("POST", self._at("/prompts"), asked))

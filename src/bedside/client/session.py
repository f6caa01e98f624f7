"""An image that is open on a server, with the methods of ``Session``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray

from bedside.client.choices import choices_told
from bedside.client.connection import Connection
from bedside.client.linking import Linking
from bedside.core.errors import InputError
from bedside.core.files import write_bytes_atomically
from bedside.core.geometry import Geometry
from bedside.core.labels import OverlapPolicy
from bedside.core.prompts import Prompt, prompt_from_dict
from bedside.core.region import Region
from bedside.io.dicom.objects import ObjectFormat
from bedside.serve.patches import decode_bits
from bedside.session.gestures import Gestures
from bedside.session.journal import Journal
from bedside.session.objects import Grade, grade_of

_APART = 32
"""Objects whose masks are asked for one after another; the label map of more comes in one piece."""


@dataclass(frozen=True)
class RemoteObject:
    """One object of an image on a server.

    Attributes:
        id: Number of the object, from 1.
        name: What the user calls it.
        colour: "#rrggbb".
        label: Its value in a saved label map.
        voxels: Voxels of its mask.
        volume: In ``unit``.
        unit: "ml" for volumes and "mm2" for pictures; "voxels" or "pixels" where the spacing is unknown.
        quality: Estimated DSC of its mask, 0 to 1; None where the model made none.
        can_undo: Whether there is something to undo.
        can_redo: Whether there is something to redo.
        visible: Whether the page shows it.
        locked: Whether it is protected against changes.
        box: The smallest region that holds it, array order; None while it is empty.
    """

    id: int
    name: str
    colour: str
    label: int
    voxels: int
    volume: float
    unit: str
    quality: float | None
    can_undo: bool
    can_redo: bool
    visible: bool
    locked: bool
    box: Region | None

    @property
    def grade(self) -> Grade | None:
        """The estimate in a word, as ``SessionObject.grade``; None where there is no estimate."""
        return grade_of(self.quality)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> RemoteObject:
        """Return the object that a server tells of."""
        box = told["box"]
        known = {name: told[name] for name in cls.__dataclass_fields__ if name != "box"}
        return cls(**known, box=None if box is None else Region(tuple(box["start"]), tuple(box["stop"])))


class RemoteSession(Gestures, Linking):
    """Objects, prompts and masks of an image on a server; what pages open beside it show at once.

    Prompts are those of ``Session``: ``add_point``, ``add_box``, ``add_scribble``, ``add_lasso``, ``set_mask`` and
    ``add``. Coordinates are (x, y[, z]), regions and masks in array order. Every change is in the server's workspace
    when its call returns.

    Args:
        connection: To the server.
        told: What the server says of the image.
    """

    def __init__(self, connection: Connection, told: Mapping[str, Any]) -> None:
        self._connection = connection
        self._number = int(told["image"])
        self.name = str(told["name"])
        """Name of the image's file."""
        self.geometry = Geometry.create(
            told["shape"],
            told["spacing"] if told["spacing_known"] else None,
            told["origin"],
            told["direction"],
        )
        """The image's grid."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape of the image, (z, y, x) or (y, x)."""
        return self.geometry.shape

    @property
    def info(self) -> dict[str, Any]:
        """All that the server says of the image now: modality, range, model, tools, notes, objects; see its OpenAPI."""
        found: dict[str, Any] = self._get("")
        return found

    # Objects

    @property
    def model(self) -> str:
        """Name of the model that predicts."""
        return str(self.info["model"])

    def set_model(self, name: str) -> None:
        """Let another model predict, which predicts all prompts again.

        Raises:
            InputError: It is unknown.
        """
        self._connection.ask("PATCH", self._at(""), {"model": name})

    @property
    def objects(self) -> tuple[RemoteObject, ...]:
        """All objects, in the order of their labels."""
        return tuple(RemoteObject.of(told) for told in self._get("/objects")["objects"])

    @property
    def current(self) -> RemoteObject | None:
        """The object that prompts go to; None before the first."""
        told = self._get("/objects")
        return next((RemoteObject.of(o) for o in told["objects"] if o["id"] == told["current"]), None)

    def add_object(self, name: str | None = None, colour: str | None = None, label: int | None = None) -> RemoteObject:
        """Begin a new object, which becomes the current one; see ``Session.add_object``."""
        asked = {"name": name, "colour": colour, "label": label}
        change = self._post("/objects", {key: value for key, value in asked.items() if value is not None})
        return next(RemoteObject.of(told) for told in change["objects"] if told["id"] == change["object"])

    def select(self, object_id: int) -> None:
        """Make an object the current one."""
        self._connection.ask("PATCH", self._at(""), {"current": object_id})

    def change_object(self, object_id: int, **changes: Any) -> RemoteObject:
        """Change ``name``, ``colour``, ``label``, ``visible`` or ``locked`` of an object.

        Raises:
            InputError: There is no such object, or the label is taken.
        """
        change = self._connection.ask("PATCH", self._at(f"/objects/{object_id}"), changes)
        return next(RemoteObject.of(told) for told in change["objects"] if told["id"] == object_id)

    def set_label(self, object_id: int, label: int) -> None:
        """Give an object another value in the label map, 1 to 65,535."""
        self.change_object(object_id, label=label)

    def delete_object(self, object_id: int) -> None:
        """Delete an object."""
        self._connection.ask("DELETE", self._at(f"/objects/{object_id}"))

    # Prompts

    def add(self, prompt: Prompt, *, predict: bool = True, object_id: int | None = None) -> Region | None:
        """Add a prompt of any kind to an object and have the model predict.

        Args:
            prompt: The prompt, in either frame.
            predict: False keeps the prompt back, to be predicted together with the next one that is predicted.
            object_id: The object; the current one by default, which is begun where there is none yet.

        Returns:
            The region in which the object's mask changed (empty where nothing did); None where no prediction was asked,
            or a newer prompt of another client took this one along.

        Raises:
            PromptError: The prompt lies outside the image, or the model cannot take it or start from it.
            InputError: There is no such object.
            StoppedError: Somebody stopped it, or the server's time limit is over.
        """
        asked: dict[str, Any] = {"prompt": prompt.to_dict(), "predict": predict}
        if object_id is not None:
            asked["object"] = object_id
        change = self._post("/prompts", asked)
        if change.get("superseded") or (not predict and prompt.kind != "mask"):
            return None
        return self._region(change)

    def undo(self, object_id: int | None = None) -> Region | None:
        """Undo the last prompt or removal of an object.

        Returns:
            The region in which its mask changed; None where there was nothing to undo.
        """
        return self._step("undo", object_id)

    def redo(self, object_id: int | None = None) -> Region | None:
        """Put back what was last undone; see ``undo``."""
        return self._step("redo", object_id)

    def _step(self, way: str, object_id: int | None) -> Region | None:
        state = self._object(object_id)
        if state is None or not (state.can_undo if way == "undo" else state.can_redo):
            return None
        return self._region(self._post(f"/objects/{state.id}/{way}"))

    def prompts(self, object_id: int | None = None) -> dict[int, Prompt | str]:
        """Return the prompts in force of an object by their numbers, oldest first; of a mask its kind alone, "mask"."""
        told = self._get(f"/objects/{self._required(object_id).id}/prompts")["prompts"]
        return {p["id"]: p["kind"] if p["kind"] == "mask" else prompt_from_dict(p["prompt"]) for p in told}

    def remove_prompt(self, prompt_id: int) -> Region:
        """Take one prompt away, wherever it stands; those after it are predicted again.

        Returns:
            The region in which the mask of its object changed.
        """
        return self._region(self._connection.ask("DELETE", self._at(f"/prompts/{prompt_id}")))

    def suggest(self, object_id: int | None = None) -> Prompt | None:
        """Return where to click next, as a prompt to ``add``; None where nothing seems wrong."""
        prompt = self._post(f"/objects/{self._required(object_id).id}/suggest")["prompt"]
        return None if prompt is None else prompt_from_dict(prompt)

    def next_candidate(self, object_id: int | None = None) -> Region:
        """Show the next mask that an object's first prompt may mean; see ``Session.candidates``."""
        return self._region(self._post(f"/objects/{self._required(object_id).id}/next-candidate"))

    def edit(
        self, name: str, value: float | None = None, *, other: int | None = None, object_id: int | None = None
    ) -> Region:
        """Change an object's mask by a classical tool; see ``Session.edit``."""
        asked = {"name": name, "value": value, "other": other}
        return self._region(self._post(f"/objects/{self._required(object_id).id}/edit", asked))

    def propagate(self, start: int | None = None, *, object_id: int | None = None, **limits: float | None) -> Region:
        """Carry an object's mask on one slice along the others; ``limits`` as those of ``Session.propagate``."""
        return self._region(
            self._post(f"/objects/{self._required(object_id).id}/propagate", {"start": start, **limits})
        )

    def find_like(
        self, objects: Sequence[int] | None = None, *, threshold: float = 0.4, name: str | None = None
    ) -> tuple[RemoteObject, ...]:
        """Find all others of the kind of a few objects and begin an object for each; see ``Session.find_like``."""
        asked = {"objects": None if objects is None else list(objects), "threshold": threshold, "name": name}
        change = self._post("/find-like", asked)
        return tuple(RemoteObject.of(told) for told in change["objects"] if told["id"] in change["opened"])

    def cancel(self) -> int:
        """Stop all predictions for this image that are under way or wait; returns how many."""
        return int(self._post("/cancel")["cancelled"])

    # Masks

    @property
    def mask(self) -> NDArray[np.uint8]:
        """The current object's mask: uint8 0/1 of the image's spatial shape; all zero without an object."""
        current = self.current
        return np.zeros(self.shape, np.uint8) if current is None else self.mask_of(current.id)

    @property
    def masks(self) -> dict[int, NDArray[np.uint8]]:
        """Every object's mask (see ``mask``) by the object's number."""
        return {o.id: self.mask_of(o.id) for o in self.objects}

    def mask_of(self, object_id: int) -> NDArray[np.uint8]:
        """Return an object's mask, uint8 0/1 of the image's spatial shape."""
        region, patch = self._patch_of(object_id)
        mask = np.zeros(self.shape, np.uint8)
        mask[region.slices] = patch
        return mask

    def label_map(self, policy: OverlapPolicy = "keep") -> NDArray[Any]:
        """Return all objects in one map of the image's spatial shape, each with the value of its label.

        Args:
            policy: Who gets a voxel that several objects claim: "keep" the earlier, "overwrite" the later.
        """
        from bedside.io.reading import read_mask

        objects = self.objects
        if not objects:
            return np.zeros(self.shape, np.uint8)
        if policy not in ("keep", "overwrite") or len(objects) > _APART:
            with TemporaryDirectory(prefix="bedside-") as folder:
                path = Path(folder) / "labels.npz"
                path.write_bytes(self._exported("npz", policy))
                return read_mask(path).array
        # What is sent is as large as the objects and not as the image.
        labels = np.zeros(self.shape, np.uint8 if max(one.label for one in objects) <= 255 else np.uint16)
        oldest_first = sorted(objects, key=lambda one: one.id)
        for one in oldest_first if policy == "overwrite" else oldest_first[::-1]:
            region, patch = self._patch_of(one.id)
            labels[region.slices][patch != 0] = one.label
        return labels

    def _patch_of(self, object_id: int) -> tuple[Region, NDArray[np.uint8]]:
        patch = self._get(f"/objects/{object_id}/mask")
        region = Region(tuple(patch["start"]), tuple(patch["stop"]))
        if region.is_empty:
            return Region.empty(len(self.shape)), np.zeros((0,) * len(self.shape), np.uint8)
        return region, decode_bits(patch["bits"], region.shape)

    def save_segmentation(
        self,
        path: str | Path,
        *,
        form: ObjectFormat | None = None,
        policy: OverlapPolicy | None = None,
    ) -> None:
        """Save all objects in one file on this machine; an older file is replaced once the new one is complete.

        Args:
            path: The suffix is the format.
            form: "dicom-seg" or "rtstruct", for an image from DICOM files; by default a SEG where the path ends in
                .dcm.
            policy: Who gets a voxel of two objects; by default as set in the page.

        Raises:
            InputError: There is no object yet, or the file would take the place of the image.
            FormatError: No format that can be written has the suffix.
        """
        from bedside.io.registry import find_writer

        target = Path(path)
        image = Path(str(self.info["path"])).resolve()
        # Of a folder every file may be a slice.
        slice_of_it = image.is_dir() and target.exists() and target.resolve().is_relative_to(image)
        if target.resolve() == image or slice_of_it:
            raise InputError(f"{path}", expected="another file than the image", fix="the image is never overwritten")
        if not target.parent.is_dir():
            raise InputError(f"{path}", expected="an existing folder to write to", got=f"no folder {target.parent}")
        name = target.name.lower()
        wanted: str | None = form or ("dicom-seg" if name.endswith(".dcm") else None)
        if wanted is None:
            suffixes = find_writer(target).suffixes
            wanted = max((s for s in suffixes if name.endswith(s)), key=len).removeprefix(".")
        write_bytes_atomically(path, self._exported(wanted, policy))

    def open_segmentation(
        self,
        path: str | Path,
        *,
        prior: str | Path | None = None,
        prior_series: str | None = None,
        prior_volume: int | None = None,
    ) -> tuple[RemoteObject, ...]:
        """Open a segmentation, by its path on the server's machine, onto the image: every label becomes an object.

        Args:
            path: A label map, a DICOM SEG, an RTSTRUCT or a list of labels.
            prior: Path of the earlier image that it was drawn on, which is registered to this one.
            prior_series: Which DICOM series of the prior, where there are several.
            prior_volume: Which volume of the prior, where there are several, from 0.

        Returns:
            The objects that were begun.

        Raises:
            FormatError: It cannot be read, or is no segmentation.
            ChoiceError: The prior is one of several images and none was chosen.
        """
        place = None if prior is None else str(Path(prior).absolute())
        asked: dict[str, Any] = {"path": str(Path(path).absolute()), "prior": place}
        chosen = {"prior_series": prior_series, "prior_volume": prior_volume}
        asked.update({name: value for name, value in chosen.items() if value is not None})
        with choices_told(self._connection, place or "", "prior_"):
            change = self._post("/segmentation", asked)
        return tuple(RemoteObject.of(told) for told in change["objects"] if told["id"] in change["opened"])

    @property
    def journal(self) -> Journal:
        """All that was done, with which ``Session.from_journal`` gives the same masks."""
        return Journal.from_dict(self._get("/journal"))

    def close(self) -> None:
        """Let the server forget the image's samples; the work is kept."""
        self._connection.ask("DELETE", self._at(""))

    # What goes over the connection

    def _at(self, path: str) -> str:
        return f"/api/images/{self._number}{path}"

    def _get(self, path: str) -> Any:
        return self._connection.ask("GET", self._at(path))

    def _post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._connection.ask("POST", self._at(path), {} if body is None else body)

    def _exported(self, form: str, policy: OverlapPolicy | None) -> bytes:
        query = {"format": form, **({} if policy is None else {"policy": policy})}
        content, _ = self._connection.fetch("GET", self._at(f"/export?{urlencode(query)}"))
        return content

    def _object(self, object_id: int | None) -> RemoteObject | None:
        if object_id is None:
            return self.current
        return next((o for o in self.objects if o.id == object_id), None) or self._missing(object_id)

    def _required(self, object_id: int | None) -> RemoteObject:
        found = self._object(object_id)
        if found is None:
            raise InputError("object", expected="at least one", got="none", fix="begin with a prompt")
        return found

    def _missing(self, object_id: int) -> RemoteObject:
        raise InputError("object", expected=f"one of {[o.id for o in self.objects]}", got=object_id)

    def _region(self, change: Mapping[str, Any]) -> Region:
        patch = change.get("patch")
        if patch is None:
            return Region.empty(len(self.shape))
        return Region(tuple(patch["start"]), tuple(patch["stop"]))

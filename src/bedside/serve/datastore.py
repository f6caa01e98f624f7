"""A folder of images and the masks that clients keep beside them, laid out as MONAI Label's local datastore.

Images lie anywhere below the folder. A mask of an image lies in ``labels/TAG/IMAGE.SUFFIX``, and what is said of both
in ``datastore_v2.json``, which are made with the first mask that is kept. Files that others put there count, too.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bedside.core.errors import BedsideError, FormatError, InputError
from bedside.core.files import atomic_path, write_text_atomically
from bedside.serve.errors import NotFoundError, NotOfferedError
from bedside.serve.places import INDEX, LABELS, Place, find_images

FINAL, ORIGINAL = "final", "original"
"""Tags of masks: what a person saved, and what a model made."""
_TAG = re.compile(r"\w[\w.-]{0,79}")
_NAME = re.compile(r"\w[\w.()+ -]{0,199}")
_LARGEST_INDEX = 64 * 2**20
LAYERED = ".seg.nrrd"
"""Suffix of masks in which 3D Slicer's segments may overlap."""


def suffix_of(name: str) -> str:
    """Return the suffix of a file's name, by the formats that can be read; empty where none has it."""
    from bedside.io import readers

    known = [s for suffixes in readers().values() for s in suffixes] + [LAYERED]
    return max((s for s in known if name.lower().endswith(s)), key=len, default="")


@dataclass(frozen=True)
class Entry:
    """An image.

    Attributes:
        place: Where it is.
        suffix: Of its file; empty where it is a series of DICOM files.
    """

    place: Place
    suffix: str

    @property
    def name(self) -> str:
        """Name of the file that clients get."""
        return self.place.path.name if self.suffix else f"{self.place.series or 'series'}.nii.gz"


class Datastore:
    """The images of a folder by their names. May be called from several threads.

    Args:
        root: The folder; None for a datastore without images.
    """

    def __init__(self, root: Path | None) -> None:
        self._root = root
        self._guard = threading.RLock()
        self._found: dict[str, Entry] = {}
        self._state: tuple[int, ...] | None = None

    # Images

    def images(self) -> Mapping[str, Entry]:
        """Return all images by their names: the path below the folder without its suffix, or the series' UID."""
        with self._guard:
            if self._root is None:
                return {}
            state = (self._root.stat().st_mtime_ns,)
            if state != self._state:
                self._found, self._state = dict(_named(self._root)), state
            return self._found

    def image(self, name: str) -> Entry:
        """Return an image by its name.

        Raises:
            NotFoundError: There is none.
        """
        found = self.images().get(name)
        if found is None:
            plain = name.removesuffix(suffix_of(name))
            fix = f"images are called without their suffix: '{plain}'"[:200] if plain in self.images() else None
            raise NotFoundError("image", expected="one of the datastore", got=repr(name)[:80], fix=fix)
        return found

    def add(self, name: str, file: Path) -> str:
        """Copy an image into the folder; returns its name.

        Args:
            name: What it is called from now on.
            file: One that was read already.

        Raises:
            InputError: The name cannot be one, or is taken.
            NotOfferedError: There is no folder.
        """
        with self._guard:
            target = self.free(name, file.name)
            _copy(file, target)
            self._state = None
            self._say(name, None, {"name": target.name, "added": True})
        return name

    def free(self, name: str, file: str) -> Path:
        """Return where an image of a name would lie.

        Args:
            name: What it is to be called.
            file: Name of its file, which says the format.

        Raises:
            InputError: The name cannot be one, or is taken.
            NotOfferedError: There is no folder.
        """
        suffix = suffix_of(file)
        if not _NAME.fullmatch(name) or not suffix:
            raise InputError("image", expected="a name of letters and digits and a format that can be read", got=name)
        with self._guard:
            target = self._folder() / f"{name}{suffix}"
            if name in self.images() or target.exists():
                raise InputError("image", expected="a name that is free", got=f"'{name}', which there is already")
        return target

    def remove(self, name: str) -> None:
        """Remove an image that a client added, with its masks.

        Raises:
            NotFoundError: There is no such image.
            NotOfferedError: No client added it.
        """
        with self._guard:
            entry = self.image(name)
            if not self.info(name).get("added"):
                raise NotOfferedError(
                    f"image '{name}' was not added by a client", fix="remove it from the server's folder itself"
                )
            for tag in self.labels(name):
                self.remove_label(name, tag)
            entry.place.path.unlink()
            self._state = None
            index = self._index()
            index["objects"].pop(name, None)
            self._write(index)

    def info(self, name: str) -> dict[str, Any]:
        """Return what is said of an image; where it lies on this machine is nobody's business.

        Raises:
            NotFoundError: There is no such image.
        """
        entry = self.image(name)
        said = _object(self._index()["objects"], name, "image", "info")
        return {"name": entry.name, **said}

    def update_info(self, name: str, info: Mapping[str, Any]) -> None:
        """Add to what is said of an image.

        Raises:
            NotFoundError: There is no such image.
        """
        self.image(name)
        self._say(name, None, {key: value for key, value in info.items() if key != "added"})

    # Masks

    def labels(self, name: str) -> dict[str, Path]:
        """Return the masks of an image by their tags."""
        if self._root is None:
            return {}
        found = {}
        for folder in _folders(self._root / LABELS):
            for path in (folder / name).parent.glob(f"{_literal(Path(name).name)}.*"):
                if path.name == Path(name).name + suffix_of(path.name) and path.is_file():
                    found[folder.name] = path
        return found

    def label(self, name: str, tag: str) -> Path:
        """Return the file of a mask.

        Raises:
            NotFoundError: There is none.
        """
        self.image(name)
        found = self.labels(name).get(tag)
        if found is None:
            raise NotFoundError("label", expected=f"one of the image '{name}'", got=repr(tag)[:80])
        return found

    def save_label(self, name: str, tag: str, file: Path, info: Mapping[str, Any]) -> None:
        """Keep a mask under a tag, in the place of an older one.

        Args:
            name: The image.
            tag: The tag, of letters, digits, dots and dashes.
            file: One that was read already.
            info: What is said of it.

        Raises:
            InputError: The tag cannot be one.
            NotFoundError: There is no such image.
        """
        self.image(name)
        suffix = suffix_of(file.name)
        if not _TAG.fullmatch(tag) or ".." in tag or not suffix:
            raise InputError("tag", expected="letters, digits, dots and dashes", got=repr(tag)[:80])
        with self._guard:
            # First of all: a folder of masks is known by the list that lies beside it.
            self._write(self._index())
            before = self.labels(name).get(tag)
            target = self._folder() / LABELS / tag / f"{name}{suffix}"
            _copy(file, target)
            if before is not None and before != target:
                before.unlink()
            self._say(name, tag, {**info, "name": target.name})

    def remove_label(self, name: str, tag: str) -> None:
        """Remove a mask.

        Raises:
            NotFoundError: There is none.
        """
        with self._guard:
            self.label(name, tag).unlink()
            index = self._index()
            _object(index["objects"], name, "labels").pop(tag, None)
            self._write(index)

    def label_info(self, name: str, tag: str) -> dict[str, Any]:
        """Return what is said of a mask.

        Raises:
            NotFoundError: There is none.
        """
        path = self.label(name, tag)
        return {"name": path.name, **_object(self._index()["objects"], name, "labels", tag, "info")}

    def update_label_info(self, name: str, tag: str, info: Mapping[str, Any]) -> None:
        """Add to what is said of a mask.

        Raises:
            NotFoundError: There is none.
        """
        self.label(name, tag)
        self._say(name, tag, info)

    # The whole

    def unlabelled(self) -> list[str]:
        """Return the images without a mask that a person saved, in natural order."""
        return [name for name in self.images() if FINAL not in self.labels(name)]

    def status(self) -> dict[str, Any]:
        """Return how many images there are and how many masks of each tag."""
        tags: dict[str, int] = {}
        names = list(self.images())
        for name in names:
            for tag in self.labels(name):
                tags[tag] = tags.get(tag, 0) + 1
        return {"total": len(names), "completed": tags.get(FINAL, 0), "label_tags": tags}

    def listing(self) -> dict[str, Any]:
        """Return all images with their masks, and what is said of them."""
        objects = {}
        for name, entry in self.images().items():
            labels = {
                tag: {"ext": suffix_of(path.name), "info": self.label_info(name, tag)}
                for tag, path in self.labels(name).items()
            }
            objects[name] = {"image": {"ext": entry.suffix or ".nii.gz", "info": self.info(name)}, "labels": labels}
        return {**_empty(), "objects": objects}

    # Inside

    def _folder(self) -> Path:
        if self._root is None:
            raise NotOfferedError("datastore", expected="a folder of images", fix="start bedside serve with a folder")
        return self._root

    def _index(self) -> dict[str, Any]:
        """Return what the index says; an empty one where there is none.

        Raises:
            FormatError: It is none of MONAI Label's.
        """
        if self._root is None:
            return _empty()
        path = self._root / INDEX
        try:
            if path.stat().st_size > _LARGEST_INDEX:
                raise FormatError(INDEX, expected=f"at most {_LARGEST_INDEX} bytes", got="more")
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return _empty()
        except (OSError, ValueError) as error:
            raise FormatError(INDEX, expected="the list of a datastore", got="another file") from error
        if not isinstance(found, dict) or not isinstance(found.setdefault("objects", {}), dict):
            raise FormatError(INDEX, expected="the list of a datastore", got="another file")
        return {**_empty(), **found}

    def _say(self, name: str, tag: str | None, info: Mapping[str, Any]) -> None:
        with self._guard:
            entry, index = self.image(name), self._index()
            item = index["objects"].setdefault(name, {"image": {"ext": entry.suffix, "info": {}}, "labels": {}})
            told = item.setdefault("image", {}) if tag is None else item.setdefault("labels", {}).setdefault(tag, {})
            if tag is not None:
                told["ext"] = suffix_of(self.label(name, tag).name)
            told["info"] = {**told.get("info", {}), "ts": int(time.time()), **info}
            self._write(index)

    def _write(self, index: Mapping[str, Any]) -> None:
        write_text_atomically(self._folder() / INDEX, json.dumps(index, indent=2) + "\n")
        # What is written changes the time of the folder, and no image.
        if self._state is not None:
            self._state = (self._folder().stat().st_mtime_ns,)


def _named(root: Path) -> Iterator[tuple[str, Entry]]:
    """Yield the images below a folder, each with a name that no other has."""
    try:
        places = find_images(root)
    except FormatError:
        return
    used: set[str] = set()
    for place in places:
        path = place.path
        suffix = suffix_of(path.name) if path.is_file() else ""
        if path.is_dir():
            series = place.series or _series_in(path)
            found = Place(path, place.name, series, place.volume)
            name = series or str(path.relative_to(root))
            name = name if place.volume is None else f"{name}.{place.volume}"
        else:
            found, relative = place, path.relative_to(root).as_posix()
            name = relative[: len(relative) - len(suffix)]
            name = relative if name in used else name
        if name not in used:
            used.add(name)
            yield name, Entry(found, suffix)


def _series_in(folder: Path) -> str | None:
    """Return the UID of the one series in a folder."""
    from bedside.io.dicom.series import find_series
    from bedside.io.quiet import quiet

    try:
        with quiet():
            return next((one.uid for one in find_series(folder)), None)
    except BedsideError:
        return None


def _copy(file: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(file, temporary)


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def _literal(name: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", name)


def _empty() -> dict[str, Any]:
    return {"name": "Bedside", "description": "", "images_dir": "", "labels_dir": LABELS, "objects": {}}


def _object(found: Any, *keys: str) -> dict[str, Any]:
    """Return the object at the end of some keys; an empty one where there is none."""
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}

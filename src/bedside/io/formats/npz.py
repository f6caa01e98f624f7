"""The challenges' NumPy archives: ``imgs`` to read, ``segs`` to write."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bedside.core.errors import FormatError
from bedside.core.image import Image, looks_like_channels
from bedside.io.challenge import IMAGE_KEYS, LABEL_KEYS, geometry_of, image_of, modality_of
from bedside.io.npz import load_members, member_names
from bedside.io.registry import READERS, WRITERS, Reader, ReadOptions, Writer
from bedside.io.samples import pick_volume, storable

_SUFFIXES = (".npz",)


def _recognises(head: bytes) -> bool:
    # A zip whose first member is an array.
    length = int.from_bytes(head[26:28], "little")
    return head[:4] == b"PK\x03\x04" and head[30 : 30 + length].endswith(b".npy")


def _read(path: Path, options: ReadOptions) -> Image:
    pick_volume(path, 1, options.volume)
    if not options.labels:
        return image_of(path, load_members(path, IMAGE_KEYS))
    names = member_names(path)
    key = next((k for k in LABEL_KEYS if k in names), None)
    if key is None:
        raise FormatError(
            f"{path}", expected=f"an array called {', '.join(LABEL_KEYS)}", got=", ".join(names) or "none"
        )
    members = load_members(path, (key, "spacing"))
    labels = np.asarray(members[key])
    # Of a picture whose channel was kept, so may the labels be.
    if labels.ndim > 2 and labels.shape[-1] == 1 and (labels.ndim == 4 or looks_like_channels(labels.shape)):
        labels = labels[..., 0]
    return Image(labels, geometry_of(labels.shape, members.get("spacing")), modality_of(path.stem))


def _write(path: Path, image: Image, labels: bool) -> None:
    if labels:
        np.savez_compressed(path, segs=image.array)
    elif image.geometry.spacing_known:
        np.savez_compressed(path, imgs=storable(image.array), spacing=np.asarray(image.geometry.spacing))
    else:
        np.savez_compressed(path, imgs=storable(image.array))


READERS.register("npz")(Reader("challenge NPZ", _SUFFIXES, _read, _recognises, isolate=False))
WRITERS.register("npz")(Writer("challenge NPZ", _SUFFIXES, _write))

"""Saving: label maps, one file for each object, the journal."""

from __future__ import annotations

import io
import json
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, cast
from urllib.parse import quote

from fastapi import APIRouter, Query, Response

from bedside.core.errors import InputError
from bedside.core.files import scratch_folder
from bedside.core.labels import OverlapPolicy
from bedside.core.mask import PackedMask
from bedside.io.registry import find_writer
from bedside.io.segmentations import Form, write_segments
from bedside.serve.cleaning import UNPACKED
from bedside.serve.opened import OpenImage
from bedside.serve.routes.common import PROBLEMS, ServiceOf, attachment
from bedside.serve.snapshot import Snapshot
from bedside.serve.state import DICOM_OBJECTS
from bedside.session.journal import Journal
from bedside.session.segmentations import segments_of

router = APIRouter(prefix="/api/images/{image}", tags=["save"], responses=PROBLEMS)


_DICOM = {"dcm": "dicom-seg", **{kind: kind for kind in DICOM_OBJECTS}}
NOTES = "X-Bedside-Notes"
"""Header with what to know of the file: a list in JSON, percent-encoded."""


@router.get("/export", response_class=Response)
async def export(
    service: ServiceOf,
    image: int,
    suffix: Annotated[str, Query(alias="format", max_length=20, pattern=r"^\w+([.-]\w+)*$")] = "nii.gz",
    what: Literal["labels", "objects"] = "labels",
    policy: OverlapPolicy | None = None,
) -> Response:
    """Return all objects as one file, or a zip with one file for each.

    The format is a suffix of a format that can be written, or "dicom-seg" or "rtstruct" for an image from DICOM files,
    to which those refer; in them objects may overlap whatever the policy. What to know of the file (names that the
    format has no place for) is in the header X-Bedside-Notes, a list in JSON, percent-encoded.
    """
    form: Form = cast("Form", _DICOM.get(suffix, "file"))
    if form == "file":
        find_writer(Path(f"mask.{suffix}"))
    opened = await service.hub.get(image)
    snapshot, item = opened.snapshot, service.item(opened.item)
    if not snapshot.seen:
        raise InputError("nothing to save", expected="at least one object", got="none", fix="begin with a prompt")
    stem = re.sub(r"(\.nii)?\.\w+$", "", Path(item.path).name) or "image"
    chosen = policy or snapshot.policy
    write = _Writing(opened, form, suffix if form == "file" else "dcm", item.volume, service.folder / UNPACKED)
    if what == "objects":
        body = await service.hub.call(_zip, write, snapshot, stem)
        return Response(body, media_type="application/zip", headers=attachment(f"{stem}-objects.zip"))
    if form == "file" and chosen == "overlap":
        raise InputError(
            "policy",
            expected="keep or overwrite for one label map",
            got="overlap",
            fix="save one file per object, or as DICOM",
        )
    seen = [(s.info.label, s.info.name, s.info.colour, s.mask) for s in snapshot.seen.values()]
    body, notes = await service.hub.call(write.file, seen, "keep" if chosen == "overlap" else chosen)
    name = f"{stem}-{ {'file': 'labels', 'dicom-seg': 'seg', 'rtstruct': 'rtstruct'}[form] }.{write.suffix}"
    headers = {**attachment(name), **({NOTES: quote(json.dumps(notes))} if notes else {})}
    return Response(body, media_type="application/octet-stream", headers=headers)


@router.get("/journal")
async def journal(service: ServiceOf, image: int) -> Response:
    """Return the prompts of all objects, as ``bedside segment --prompts`` takes them."""
    opened = await service.hub.get(image)
    found: Journal = opened.snapshot.journal
    stem = Path(service.item(opened.item).path).name
    body = json.dumps(found.to_dict(), indent=1) + "\n"
    return Response(body, media_type="application/json", headers=attachment(f"{stem}.journal.json"))


@dataclass(frozen=True)
class _Writing:
    """How objects of an image become the bytes of a file.

    Attributes:
        opened: The image.
        form: A file of a format, or a DICOM object.
        suffix: Of the file's name, without its first dot.
        volume: Volume of its series that the image holds.
        folder: Where files lie until they are sent: beside the workspace and not in the system's folder for temporary
            files, which others may read.
    """

    opened: OpenImage
    form: Form
    suffix: str
    volume: int | None
    folder: Path

    def file(
        self, objects: list[tuple[int, str, str | None, PackedMask]], policy: OverlapPolicy
    ) -> tuple[bytes, tuple[str, ...]]:
        """Return the file, and what to know of it; objects are label, name, colour and mask."""
        found = segments_of(objects, self.opened.image, self.opened.model)
        with scratch_folder(self.folder) as scratch:
            path = scratch / f"mask.{self.suffix}"
            notes = write_segments(path, found, self.opened.image, form=self.form, policy=policy, volume=self.volume)
            return path.read_bytes(), notes


def _zip(write: _Writing, snapshot: Snapshot, stem: str) -> bytes:
    stream = io.BytesIO()
    # Most formats are compressed already.
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for seen in snapshot.seen.values():
            info = seen.info
            name = re.sub(r"[^\w.() -]+", "_", info.name).strip(". ")[:80]
            # Each is a mask of its own, 0 and 1.
            body, _ = write.file([(1, info.name, info.colour, seen.mask)], "keep")
            archive.writestr(f"{stem}-{info.label:02d}-{name}.{write.suffix}", body)
    return stream.getvalue()

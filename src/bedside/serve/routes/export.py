"""Saving: label maps, one file for each object, the journal."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Annotated, Literal, cast
from urllib.parse import quote

from fastapi import APIRouter, Query, Response

from bedside.core.errors import InputError
from bedside.core.labels import OverlapPolicy
from bedside.io.registry import find_writer
from bedside.io.segmentations import Form
from bedside.serve.cleaning import UNPACKED
from bedside.serve.routes.common import PROBLEMS, ServiceOf, attachment
from bedside.serve.saving import Writing, drawn_objects
from bedside.serve.snapshot import Snapshot
from bedside.serve.state import DICOM_OBJECTS
from bedside.session.journal import Journal

router = APIRouter(prefix="/api/images/{image}", tags=["save"], responses=PROBLEMS)


_DICOM = {"dcm": "dicom-seg", **{kind: kind for kind in DICOM_OBJECTS}}
_NO_HEADER = "other files carry nothing of the patient but their name"
NOTES = "X-Bedside-Notes"
"""Header with what to know of the file: a list in JSON, percent-encoded."""


@router.get("/export", response_class=Response)
async def export(
    service: ServiceOf,
    image: int,
    suffix: Annotated[str, Query(alias="format", max_length=20, pattern=r"^\w+([.-]\w+)*$")] = "nii.gz",
    what: Literal["labels", "objects"] = "labels",
    policy: OverlapPolicy | None = None,
    strip_phi: bool = False,
) -> Response:
    """Return all objects as one file, or a zip with one file for each.

    The format is a suffix of a format that can be written, or "dicom-seg" or "rtstruct" for an image from DICOM files,
    to which those refer; in them objects may overlap whatever the policy. What to know of the file (names that the
    format has no place for) is in the header X-Bedside-Notes, a list in JSON, percent-encoded.

    With ``strip_phi`` a DICOM object and the name of its file say nothing of the patient (PS3.15, basic profile). Its
    new UIDs follow from a map beside the workspace, the same for all that is saved so.
    """
    form: Form = cast("Form", _DICOM.get(suffix, "file"))
    if form == "file":
        find_writer(Path(f"mask.{suffix}"))
        if strip_phi:
            raise InputError("strip_phi", expected="dicom-seg or rtstruct", got=suffix, fix=_NO_HEADER)
    opened = await service.hub.get(image)
    snapshot, item = opened.snapshot, service.item(opened.item)
    objects = drawn_objects(snapshot)
    stem = re.sub(r"(\.nii)?\.\w+$", "", Path(item.path).name) or "image"
    if strip_phi:
        # The image's own name is its file's, and says what its owner wished.
        stem = "masks"
    chosen = policy or snapshot.policy
    ending, uids = suffix if form == "file" else "dcm", service.uids if strip_phi else None
    write = Writing(opened, form, ending, item.volume, service.folder / UNPACKED, uids)
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
    body, notes = await service.hub.call(write.file, objects, "keep" if chosen == "overlap" else chosen)
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


def _zip(write: Writing, snapshot: Snapshot, stem: str) -> bytes:
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

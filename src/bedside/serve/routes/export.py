"""Saving: label maps, one file for each object, the journal."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Query, Response
from numpy.typing import NDArray

from bedside.core.errors import InputError
from bedside.core.files import scratch_folder
from bedside.core.labels import OverlapPolicy
from bedside.core.region import Region
from bedside.io import write_mask
from bedside.io.registry import find_writer
from bedside.serve.opened import OpenImage
from bedside.serve.patches import Layer, paint_labels
from bedside.serve.routes.common import PROBLEMS, ServiceOf, attachment
from bedside.serve.snapshot import Snapshot
from bedside.session.journal import Journal

router = APIRouter(prefix="/api/images/{image}", tags=["save"], responses=PROBLEMS)


@router.get("/export", response_class=Response)
async def export(
    service: ServiceOf,
    image: int,
    suffix: Annotated[str, Query(alias="format", max_length=20, pattern=r"^\w+(\.\w+)*$")] = "nii.gz",
    what: Literal["labels", "objects"] = "labels",
    policy: OverlapPolicy | None = None,
) -> Response:
    """Return the label map as a file, or a zip with one file for each object, in a format that can be written."""
    find_writer(Path(f"mask.{suffix}"))
    opened = await service.hub.get(image)
    snapshot = opened.snapshot
    if not snapshot.seen:
        raise InputError("nothing to save", expected="at least one object", got="none", fix="begin with a prompt")
    stem = re.sub(r"(\.nii)?\.\w+$", "", Path(service.item(opened.item).path).name) or "image"
    if what == "labels":
        chosen = policy or snapshot.policy
        if chosen == "overlap":
            raise InputError(
                "policy", expected="keep or overwrite for one label map", got="overlap", fix="save one file per object"
            )
        labels = await service.hub.call(label_map, snapshot, opened.image.shape, chosen)
        body = await service.hub.call(_file, labels, opened, suffix, service.folder)
        return Response(body, media_type="application/octet-stream", headers=attachment(f"{stem}-labels.{suffix}"))
    body = await service.hub.call(_zip, opened, snapshot, suffix, stem, service.folder)
    return Response(body, media_type="application/zip", headers=attachment(f"{stem}-objects.zip"))


@router.get("/journal")
async def journal(service: ServiceOf, image: int) -> Response:
    """Return the prompts of all objects, as ``bedside segment --prompts`` takes them."""
    opened = await service.hub.get(image)
    found: Journal = opened.snapshot.journal
    stem = Path(service.item(opened.item).path).name
    body = json.dumps(found.to_dict(), indent=1) + "\n"
    return Response(body, media_type="application/json", headers=attachment(f"{stem}.journal.json"))


def label_map(snapshot: Snapshot, shape: tuple[int, ...], policy: OverlapPolicy) -> NDArray[np.uint8 | np.uint16]:
    """Return all objects in one map, each with the value of its label, whether it is shown or not."""
    ranked = [Layer(seen.info.label, seen.mask) for seen in snapshot.seen.values()]
    labels: NDArray[np.uint8 | np.uint16] = paint_labels(ranked, Region.whole(shape), policy)
    return labels


def _file(mask: NDArray[np.uint8 | np.uint16], opened: OpenImage, suffix: str, folder: Path) -> bytes:
    # Beside the workspace and not in the system's folder for temporary files, which others may read.
    with scratch_folder(folder) as scratch:
        path = scratch / f"mask.{suffix}"
        write_mask(path, mask, opened.image.geometry)
        return path.read_bytes()


def _zip(opened: OpenImage, snapshot: Snapshot, suffix: str, stem: str, folder: Path) -> bytes:
    stream = io.BytesIO()
    # Most formats are compressed already.
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for seen in snapshot.seen.values():
            mask = seen.mask.patch(Region.whole(opened.image.shape))
            name = re.sub(r"[^\w.() -]+", "_", seen.info.name).strip(". ")[:80]
            archive.writestr(f"{stem}-{seen.info.label:02d}-{name}.{suffix}", _file(mask, opened, suffix, folder))
    return stream.getvalue()

"""The protocol of MONAI Label's server, as clients of ``monailabel`` 0.8 speak it.

A request for a mask states all prompts of an object: clicks as ``foreground`` and ``background``, a box as ``roi``, in
the order (x, y, z) of the voxels of the image's file. Models of the type "scribbles" are sent a label map with what was
painted on the object and on the background. The mask comes as a file, alone or as one part of a form beside what is
said of it. Images are those of a datastore, of a session, or sent with the request.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from starlette.datastructures import FormData, UploadFile

from bedside import __version__
from bedside.core.errors import InputError
from bedside.core.prompts import Prompt
from bedside.io import writers
from bedside.serve import requested
from bedside.serve.arriving import arriving
from bedside.serve.clients import Client, leased, offered_kinds, open_sent
from bedside.serve.datastore import LAYERED, Datastore, suffix_of
from bedside.serve.datastore_routes import (
    STRATEGIES,
    image_routes,
    label_routes,
    object_in,
    opened_image,
    sample_routes,
    sent,
    told_by_name,
)
from bedside.serve.errors import NotFoundError, NotOfferedError, TokenError
from bedside.serve.leases import Lease, LeaseError
from bedside.serve.mask_files import MaskForm, mask_file
from bedside.serve.monai_prompts import clicks_in, scribbles_in
from bedside.serve.opened import OpenImage
from bedside.serve.protocol import PROTOCOLS, Desk, Problem, Protocol, in_field
from bedside.serve.requested import CLICKS, PAINTED
from bedside.serve.routes.common import attachment
from bedside.serve.routes.sent import sent_files
from bedside.serve.sent_labels import sent_labels
from bedside.serve.service import Service
from bedside.weights.models import model_card

LABEL = "object"
"""What an object is called whose request names none."""
SCRIBBLES = "-scribbles"
"""What the name of a model ends with that takes a label map: the type of a model says what clients send it."""
_LONGEST = 200
_PER_CLIENT = 32
Info = dict[str, Any]
_TYPES = {"deepgrow": "", "scribbles": SCRIBBLES}
"""Types of models, by which clients know what to send, and what the names of such models end with."""


def _problem(error: Exception) -> Problem:
    status, body = in_field("detail")(error)
    # MONAI Label has 404 for whatever is not there, a session that ended among it.
    return 404 if isinstance(error, NotFoundError | NotOfferedError | LeaseError) else status, body


def _named(params: Mapping[str, Any]) -> str:
    name = params.get("label") or params.get("selected_label_name")
    plain = " ".join(name.split())[:_LONGEST] if isinstance(name, str) and name.isprintable() else ""
    return plain or LABEL


def _suffix(params: Mapping[str, Any], opened: OpenImage, path: str) -> str:
    """Return the suffix of the answer's file: the one asked for, or the image's where masks are written so."""
    asked = params.get("result_extension")
    if asked is not None:
        known = [suffix for suffixes in writers().values() for suffix in suffixes] + [LAYERED]
        if asked not in known:
            got = repr(asked)[:80]
            raise InputError("result_extension", expected=f"one of {', '.join(known)}", got=got)
        return str(asked)
    own = suffix_of(Path(path).name)
    if own in (".nii", ".nii.gz", ".nrrd", ".mha", ".png"):
        return own
    return ".nii.gz" if opened.image.ndim > 2 else ".png"


def _mask_form(params: Mapping[str, Any], opened: OpenImage, path: str, dicom: bool) -> MaskForm:
    """Return how the file is written: OHIF reads samples of the dtype that it asks for, and not every packed one."""
    dtype = params.get("result_dtype") or "uint8"
    if dtype not in ("uint8", "uint16"):
        raise InputError("result_dtype", expected="uint8 or uint16", got=repr(dtype)[:80])
    if dicom and not opened.image.metadata.get("series_uid"):
        raise InputError("dicom_seg", expected="an image of a DICOM series", got="another image")
    suffix = ".dcm" if dicom else _suffix(params, opened, path)
    return MaskForm(suffix, dicom, dtype, compressed=params.get("result_compress") is not False)


def _form(params: Info, name: str, body: bytes) -> Response:
    """Return a form of two parts, what is said and the file."""
    border = f"bedside{secrets.token_hex(16)}"
    head = f'--{border}\r\nContent-Disposition: form-data; name="'
    said = f'{head}params"\r\nContent-Type: application/json\r\n\r\n{json.dumps(params)}\r\n'
    file = f'{head}image"; filename="{name}"\r\nContent-Type: application/octet-stream\r\n\r\n'
    whole = said.encode() + file.encode() + body + f"\r\n--{border}--\r\n".encode()
    return Response(whole, media_type=f"multipart/form-data; boundary={border}")


def _painted(service: Service, opened: OpenImage, label: UploadFile, params: Info) -> list[Prompt]:
    with sent_labels(service, opened, label) as (_, found):
        return scribbles_in(params, found.segments, opened.image.ndim)


def _infos(service: Service, store: Datastore) -> Info:
    names, kinds, _ = offered_kinds(service)
    models = {
        f"{name}{end}": {
            "type": kind,
            "labels": [LABEL],
            "dimension": axes,
            "description": model_card(name).summary,
            "config": {},
        }
        for kind, end in _TYPES.items()
        if kind != "scribbles" or "scribble" in kinds
        for name, axes in zip(names, (2, 3), strict=True)
    }
    return {
        "name": "Bedside",
        "description": "Masks from points, boxes and scribbles, on a CPU. Not a medical device.",
        "version": __version__,
        "labels": [LABEL],
        "models": models,
        "trainers": {},
        "strategies": {name: {"description": text} for name, text in STRATEGIES.items()},
        "scoring": {},
        "train_stats": {},
        "datastore": store.status(),
    }


def routes(desk: Desk) -> APIRouter:
    """Return the protocol's routes."""
    folders = [path for path in desk.service.config.paths if path.is_dir()]
    store = Datastore(folders[0].absolute() if folders else None)
    router = APIRouter()
    _auth_routes(router, desk)
    _session_routes(router, desk)
    _infer_routes(router, desk, store)
    image_routes(router, desk.service, store, desk.limits.image, desk.allowance)
    label_routes(router, desk.service, store)
    sample_routes(router, desk.service, store)
    return router


def _auth_routes(router: APIRouter, desk: Desk) -> None:
    """Add how clients learn whether they need a token: the server's token is everybody's password."""

    @router.get("/auth/")
    async def auth() -> Info:
        return {"enabled": desk.admits is not None, "client_id": "", "realm": ""}

    @router.post("/auth/token")
    async def token(request: Request) -> Info:
        if desk.admits is None:
            return {"access_token": None, "token_type": None}
        async with request.form(max_files=0, max_fields=16) as form:
            password = form.get("password")
        if not isinstance(password, str) or not desk.admits(password):
            raise TokenError
        return {"access_token": password, "token_type": "Bearer"}

    @router.get("/auth/token/valid")
    async def valid() -> Info:
        return {"username": "user", "name": None, "email": None, "roles": []}


def _session_routes(router: APIRouter, desk: Desk) -> None:
    """Add images that clients send and do not want to be kept in the datastore."""
    service, leases = desk.service, desk.leases

    def told(lease: Lease[Client]) -> Info:
        return {"name": lease.token, "path": "", "image": "", "meta": {}, "expiry": int(leases.idle)}

    @router.put("/session/")
    async def create(request: Request) -> Info:
        lease = leases.claim()
        try:
            async with leased(leases, lease.token) as client, sent_files(request) as files:
                client.allowance.check(images=1)
                async with arriving(service, files) as place:
                    with told_by_name(place):
                        await client.open(place, desk.limits.image)
        except BaseException:
            leases.release(lease.token)
            raise
        return {"session_id": lease.token, "session_info": told(lease)}

    @router.get("/session/{session}", response_model=None)
    async def session(session: str, image: bool = False) -> Info | FileResponse:
        lease = leases.get(session)
        if not image:
            return told(lease)
        opened = await service.hub.get(lease.holds.image)
        return sent(Path(service.item(opened.item).path))

    @router.delete("/session/{session}")
    async def remove(session: str) -> Info:
        lease = leases.get(session)
        leases.release(session)
        return told(lease)


def _infer_routes(router: APIRouter, desk: Desk, store: Datastore) -> None:
    """Add masks, and what the server can do."""
    service, leases = desk.service, desk.leases

    async def asked(form: FormData, image: str, session: str, looked_at: AsyncExitStack) -> OpenImage:
        """Return the image of a request; one that is sent stays if the block of ``looked_at`` does not raise."""
        file, allowance = form.get("file"), desk.allowance()
        allowance.take(prompts=1)
        if session:
            async with leased(leases, session) as client:
                return await service.hub.get(client.image)
        if isinstance(file, UploadFile):
            allowance.check(images=1)
            place = await looked_at.enter_async_context(arriving(service, [file]))
            with told_by_name(place):
                opened = await open_sent(service, place, desk.limits.image)
            allowance.take(images=1, bytes=opened.image.array.nbytes)
            return opened
        if image:
            return await opened_image(service, store, image)
        raise InputError("request", expected="an image, a session or a file", got="none of them")

    @router.get("/info/")
    async def info() -> Info:
        found: Info = await service.hub.call(_infos, service, store)
        return found

    @router.post("/infer/{model}")
    async def infer(
        request: Request,
        model: str,
        image: str = "",
        session_id: str = "",
        output: Literal["image", "json", "all", "dicom_seg"] = "all",
    ) -> Response:
        names, kinds, _ = await service.hub.call(offered_kinds, service)
        plain = model.removesuffix(SCRIBBLES)
        painted = plain != model
        if plain not in names or (painted and "scribble" not in kinds):
            raise NotFoundError("model", expected=f"one of {', '.join(names)}", got=repr(model)[:80])
        async with request.form(max_files=2, max_fields=8) as form, AsyncExitStack() as looked_at:
            params, label = object_in(form.get("params"), "params"), form.get("label")
            if label and not painted:
                fix = f"choose '{model}{SCRIBBLES}' for scribbles"
                raise NotOfferedError("a mask as a prompt", expected="points or a box", got="a label", fix=fix)
            if painted and not isinstance(label, UploadFile):
                raise InputError("label", expected="a label map with scribbles", got="no file")
            opened = await asked(form, image, session_id, looked_at)
            if opened.image.ndim == 3 and names.index(plain) == 0 and names[0] != names[1]:
                fix = f"choose '{names[1]}{SCRIBBLES if painted else ''}'"
                raise InputError(f"model '{model}'", expected="a picture", got="a volume", fix=fix)
            name, path = _named(params), service.item(opened.item).path
            written = _mask_form(params, opened, path, output == "dicom_seg")
            if isinstance(label, UploadFile):
                prompts = await service.hub.call(_painted, service, opened, label, params)
            else:
                prompts = clicks_in(params, opened.image.ndim)
            number = await requested.answer(service, opened.id, name, prompts, PAINTED if painted else CLICKS)
        opened = await service.hub.get(opened.id)
        quality = opened.snapshot.object(number).info.quality
        said = {"label_names": {name: 1}, "model": opened.model, "quality": quality}
        if output == "json":
            return Response(json.dumps(said), media_type="application/json")
        body = await service.hub.call(mask_file, service, opened, number, written)
        # No name that tells of the patient, and none that another answer has: clients keep files under it.
        title = f"{secrets.token_hex(8)}{written.suffix}"
        if output == "all":
            return _form(said, title, body)
        media = "application/dicom" if written.dicom else "application/octet-stream"
        return Response(body, media_type=media, headers=attachment(title))


PROTOCOLS.register("monailabel")(
    Protocol(
        title="MONAI Label",
        paths=(
            "/auth/",
            "/auth/token",
            "/auth/token/valid",
            "/info/",
            "/infer/*",
            "/session/",
            "/session/*",
            "/datastore/",
            "/datastore/image",
            "/datastore/image/info",
            "/datastore/label",
            "/datastore/label/info",
            "/datastore/updatelabelinfo",
            "/activelearning/*",
            "/train/",
            "/train/*",
            "/batch/infer/",
            "/batch/infer/*",
            "/scoring/",
            "/scoring/*",
        ),
        routes=routes,
        problem=_problem,
        beats=False,
        open=("/auth/", "/auth/token"),
        places=_PER_CLIENT,
    )
)

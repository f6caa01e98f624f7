"""The protocol of ITK-SNAP's server for deep learning, as ``itksnap-dls`` 0.1.6 answers it.

Coordinates and dimensions are in (x, y, z) order. Images and painted masks come as files of a form: the samples as
float32, C order of (z, y, x), compressed by gzip, and beside them their dimensions as JSON. Every prompt is answered by
the whole mask, one byte a voxel, compressed by gzip, as base64.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
import zlib
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Query, Request
from numpy.typing import NDArray
from starlette.datastructures import UploadFile

from bedside.core.errors import InputError, PromptError
from bedside.core.prompts import Point, Prompt
from bedside.serve.clients import Client, leased, offered_kinds
from bedside.serve.drawn import painted_lasso, painted_scribble
from bedside.serve.errors import NotFoundError, TooLargeError
from bedside.serve.protocol import PROTOCOLS, Desk, Protocol, in_field
from bedside.serve.service import Service

VERSION = "0.1.6"
"""Version of the server whose clients this answers."""
FORMER = "nnInteractive"
"""The model that clients ask for which know no list of them."""
KINDS = ("point", "scribble", "lasso")
_GZIP = zlib.MAX_WBITS | 16
_LEVEL = 1
_FARTHEST = 2**31


def read_array(packed: bytes, metadata: object, limit: int) -> NDArray[np.float32]:
    """Return the samples (z, y, x) that a client sent, which is trusted in nothing.

    Args:
        packed: The samples, compressed.
        metadata: JSON that states their dimensions.
        limit: Bytes that they may take.

    Raises:
        TooLargeError: They would take more.
        InputError: They are not what is said.
    """
    try:
        fields = json.loads(metadata) if isinstance(metadata, str) else None
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise InputError("metadata", expected="a JSON object", got=repr(metadata)[:80])
    size = fields.get("dimensions")
    whole = isinstance(size, list) and all(isinstance(n, int) and not isinstance(n, bool) for n in size)
    if not isinstance(size, list) or not whole or len(size) not in (2, 3) or not all(0 < n < _FARTHEST for n in size):
        raise InputError("dimensions", expected="2 or 3 whole numbers above 0", got=repr(size)[:80])
    if fields.get("components_per_pixel", 1) != 1:
        got = repr(fields["components_per_pixel"])[:80]
        raise InputError("image", expected="one value a voxel", got=f"{got} components", fix="choose one of them")
    shape = (*([1] if len(size) == 2 else []), *size[::-1])
    expected = 4 * math.prod(shape)
    if expected > limit:
        raise TooLargeError("image", expected=f"at most {limit} bytes", got=f"{expected} of dimensions {size}")
    try:
        # Inflated no further than the dimensions need: a short file may become gigabytes.
        raw = zlib.decompressobj(_GZIP).decompress(packed, expected + 1)
    except zlib.error as error:
        raise InputError("file", expected="samples compressed by gzip", got=str(error)) from error
    if len(raw) != expected:
        got = f"{len(raw)}{' or more' if len(raw) > expected else ''}"
        raise InputError("file", expected=f"{expected} bytes of float32 for dimensions {size}", got=got)
    return np.frombuffer(raw, dtype="<f4").reshape(shape)


def _packed(mask: NDArray[np.uint8]) -> str:
    return base64.b64encode(gzip.compress(mask.astype(np.int8).tobytes(), _LEVEL)).decode("ascii")


def _models(service: Service) -> list[dict[str, Any]]:
    names, kinds, _ = offered_kinds(service)
    interactions = [kind for kind in KINDS if kind in kinds]
    told = {"channels": [1], "interactions": interactions}
    return [{"id": name, "dimensions": axes, **told} for name, axes in zip(names, (2, 3), strict=True)]


def _point(client: Client, position: Sequence[int], positive: bool) -> Point:
    """Return a click at (x, y[, z]) on the service's image."""
    _ = client.shape
    if len(position) not in (2, 3) or any(abs(n) > _FARTHEST for n in position):
        raise PromptError("point", expected="2 or 3 ordinary numbers", got=repr(position)[:80])
    x, y, z = (*position, 0)[:3]
    return Point(client.without_thin((z, y, x))[::-1], positive)


def routes(desk: Desk) -> APIRouter:
    """Return the protocol's routes; those without a version are asked for by older clients."""
    router, service, leases = APIRouter(), desk.service, desk.leases

    async def received(request: Request) -> NDArray[np.float32]:
        async with request.form(max_files=1, max_fields=4) as form:
            file, metadata = form.get("file"), form.get("metadata")
            if not isinstance(file, UploadFile):
                raise InputError("request", expected="a form with 'file' and 'metadata'", got="no file")
            packed = await file.read()
        array: NDArray[np.float32] = await service.hub.call(read_array, packed, metadata, desk.limits.image)
        return array

    async def answered(client: Client, prompt: Prompt) -> dict[str, str]:
        await client.prompt(prompt, True)
        result: str = await service.hub.call(_packed, await client.mask())
        return {"status": "success", "result": result}

    async def painted(request: Request, session: str, kind: str, positive: bool) -> dict[str, str]:
        async with leased(leases, session) as client:
            shape, mask = client.shape, await received(request)
            if mask.shape != shape:
                raise PromptError(kind, expected=f"the image's dimensions {shape[::-1]}", got=mask.shape[::-1])
            make = painted_scribble if kind == "scribble" else painted_lasso
            flat = client.flat(mask)
            return await answered(client, await service.hub.call(make, flat, (0,) * flat.ndim, positive))

    @router.get("/status")
    async def status() -> dict[str, str]:
        return {"status": "ok", "version": VERSION}

    @router.get("/v2/models")
    async def models() -> dict[str, Any]:
        return {"models": await service.hub.call(_models, service)}

    @router.get("/start_session")
    async def start_session() -> dict[str, str]:
        return {"session_id": leases.claim().token}

    @router.get("/v2/start_session/{model}")
    async def start_session_of(model: str) -> dict[str, str]:
        known = [one["id"] for one in await service.hub.call(_models, service)]
        if model not in (*known, FORMER):
            raise NotFoundError("model", expected=f"one of {', '.join(known)}", got=repr(model)[:80])
        return await start_session()

    @router.post("/upload_raw/{session}")
    @router.post("/v2/upload_raw/{session}")
    async def upload(request: Request, session: str) -> dict[str, str]:
        async with leased(leases, session) as client:
            await client.set_image(await received(request), None)
            return {"message": "the image is there"}

    @router.get("/process_point_interaction/{session}")
    async def point(session: str, x: int, y: int, z: int = 0, foreground: bool = False) -> dict[str, str]:
        async with leased(leases, session) as client:
            return await answered(client, _point(client, (x, y, z), foreground))

    @router.get("/v2/process_point_interaction/{session}")
    async def point_of(session: str, point: Annotated[list[int], Query()], foreground: bool = False) -> dict[str, str]:
        async with leased(leases, session) as client:
            return await answered(client, _point(client, point, foreground))

    @router.post("/process_scribble_interaction/{session}")
    async def scribble(request: Request, session: str, foreground: bool = False) -> dict[str, str]:
        return await painted(request, session, "scribble", foreground)

    @router.post("/process_lasso_interaction/{session}")
    async def lasso(request: Request, session: str, foreground: bool = False) -> dict[str, str]:
        return await painted(request, session, "lasso", foreground)

    @router.get("/reset_interactions/{session}")
    @router.get("/v2/reset_interactions/{session}")
    async def reset(session: str) -> dict[str, str]:
        async with leased(leases, session) as client:
            client.begin()
            return {"status": "success"}

    @router.get("/end_session/{session}")
    @router.get("/v2/end_session/{session}")
    async def end_session(session: str) -> dict[str, str]:
        return {"message": "Session ended" if leases.release(session) else "Invalid session"}

    return router


PROTOCOLS.register("itksnap")(
    Protocol(
        title="ITK-SNAP",
        paths=(
            "/status",
            "/v2/models",
            "/start_session",
            "/v2/start_session/*",
            "/upload_raw/*",
            "/v2/upload_raw/*",
            "/process_point_interaction/*",
            "/v2/process_point_interaction/*",
            "/process_scribble_interaction/*",
            "/process_lasso_interaction/*",
            "/reset_interactions/*",
            "/v2/reset_interactions/*",
            "/end_session/*",
            "/v2/end_session/*",
        ),
        routes=routes,
        problem=in_field("error"),
        beats=False,
    )
)

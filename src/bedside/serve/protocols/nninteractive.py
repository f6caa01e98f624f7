"""The protocol of nnInteractive's server, as ``nninteractive-client`` 2.6 speaks it.

Prompts and boxes come in the order of the image's axes, arrays in a packing of their own: ``NNIA``, version, codec,
number of axes, length and text of the dtype, the shape in 64 bits an axis, and pieces of at most 1 GiB, each with its
length unpacked and packed, compressed by Blosc2. What is said beside an array stands in a header as JSON.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray

from bedside.core.errors import DependencyError, InputError, PromptError
from bedside.core.prompts import DEFAULT_THICKNESS, Box, InitialMask, Point
from bedside.core.region import Region
from bedside.serve.clients import Client, Difference, leased, offered_kinds, spacing_of
from bedside.serve.drawn import painted_lasso, painted_scribble, whole_or_part
from bedside.serve.errors import TooLargeError
from bedside.serve.leases import Lease
from bedside.serve.protocol import PROTOCOLS, Desk, Protocol, in_field
from bedside.serve.service import Service
from bedside.weights.models import model_card

VERSION = "2.6.0"
"""Version of nnInteractive whose clients this answers."""
LEASE, META = "X-Lease-Token", "X-Meta"
_MAGIC, _WIRE = b"NNIA", 1
_CODECS = (1, 2)
_PIECE = 2**30
_DTYPES = frozenset({"bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"})
_SAMPLES = _DTYPES | {"float16", "float32", "float64"}
_AXES = 8
_CHANNELS = {"bbox2d": [1, 2], "bbox3d": [1, 2], "lasso": [1, 2], "points": [3, 4], "scribble": [5, 6]}
"""Channels of nnInteractive's own network, which some clients show."""
_DECAY = 0.98
"""What nnInteractive's network weighs each older prompt by; of ours no client can tell."""


# Arrays


def _blosc() -> Any:
    try:
        import blosc2
    except ImportError as error:
        raise DependencyError(
            "arrays of nnInteractive's clients",
            expected="blosc2",
            got="not installed",
            fix="pip install 'bedside[clients]'",
        ) from error
    return blosc2


def pack(array: NDArray[Any]) -> bytes:
    """Return an array as clients take it."""
    blosc2 = _blosc()
    flat = np.ascontiguousarray(array)
    name = flat.dtype.name.encode()
    raw = flat.data.cast("B")
    pieces = [raw[at : at + _PIECE] for at in range(0, raw.nbytes, _PIECE)]
    head = struct.pack("<4s4B", _MAGIC, _WIRE, _CODECS[0], flat.ndim, len(name)) + name
    parts = [head, struct.pack(f"<{flat.ndim}qI", *flat.shape, len(pieces))]
    for piece in pieces:
        packed = blosc2.compress2(
            piece,
            typesize=flat.dtype.itemsize,
            codec=blosc2.Codec.ZSTD,
            clevel=1,
            filters=[blosc2.Filter.NOFILTER],
            nthreads=1,
        )
        parts += [struct.pack("<2Q", piece.nbytes, len(packed)), packed]
    return b"".join(parts)


def unpack(body: bytes, limit: int, dtypes: frozenset[str] = _SAMPLES) -> NDArray[Any]:
    """Return the array that a client sent, which is trusted in nothing.

    Args:
        body: Of the request.
        limit: Bytes that the array may take.
        dtypes: Names of those that it may have.

    Raises:
        TooLargeError: It would take more.
        InputError: It is no such array.
    """
    blosc2 = _blosc()
    try:
        magic, wire, codec, axes, length = struct.unpack_from("<4s4B", body)
        name = body[8 : 8 + length].decode("ascii", "replace")
        shape = struct.unpack_from(f"<{axes}q", body, 8 + length)
        (count,) = struct.unpack_from("<I", body, 8 + length + 8 * axes)
    except struct.error as error:
        raise InputError("array", expected="a header and its pieces", got=f"{len(body)} bytes") from error
    if (magic, wire) != (_MAGIC, _WIRE) or codec not in _CODECS or axes > _AXES:
        got = f"{magic!r}, version {wire}, codec {codec}, {axes} axes"
        raise InputError("array", expected=f"{_MAGIC!r}, version {_WIRE}, codec 1 or 2", got=got)
    if name not in dtypes:
        raise InputError("array", expected=f"a dtype of {', '.join(sorted(dtypes))}", got=repr(name)[:80])
    if not all(0 < n < 2**31 for n in shape):
        raise InputError("array", expected="axes of at least one sample", got=f"the shape {shape}")
    dtype = np.dtype(name)
    size = math.prod(shape) * dtype.itemsize
    if size > limit:
        raise TooLargeError("array", expected=f"at most {limit} bytes", got=f"{size} of shape {shape}")
    result = np.empty(math.prod(shape), dtype=dtype)
    at, done = 8 + length + 8 * axes + 4, 0
    for _ in range(min(count, size)):
        try:
            unpacked, packed = struct.unpack_from("<2Q", body, at)
            piece = memoryview(body)[at + 16 : at + 16 + packed]
            inside, stored, _ = blosc2.get_cbuffer_sizes(piece)
        except (struct.error, RuntimeError, ValueError) as error:
            raise InputError("array", expected="complete pieces", got="one that ends early") from error
        if (
            (inside, stored) != (unpacked, packed)
            or done + unpacked > size
            or not unpacked
            or unpacked % dtype.itemsize
        ):
            raise InputError("array", expected="pieces of the lengths that are said", got=f"{inside} bytes")
        target = result[done // dtype.itemsize : (done + unpacked) // dtype.itemsize]
        try:
            blosc2.decompress2(piece, dst=target)
        except (RuntimeError, ValueError) as error:
            raise InputError("array", expected="pieces packed by Blosc2", got="a damaged one") from error
        at, done = at + 16 + packed, done + unpacked
    if done != size:
        raise InputError("array", expected=f"{size} bytes for the shape {shape}", got=done)
    return result.reshape(shape)


# What stands beside them


def _object(text: str | bytes | None, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise InputError(what, expected="JSON", got=repr(text)[:80]) from error
    if not isinstance(found, dict):
        raise InputError(what, expected="a JSON object", got=type(found).__name__)
    return found


def _flag(fields: Mapping[str, Any], name: str, default: bool | None = None) -> bool:
    value = fields.get(name, default)
    if not isinstance(value, bool):
        raise PromptError(name, expected="true or false", got=repr(value)[:80])
    return value


def _numbers(value: Any, count: int, what: str) -> list[float]:
    numbers = value if isinstance(value, list) else []
    fine = all(isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < 1e9 for n in numbers)
    if not fine or len(numbers) != count:
        raise PromptError(what, expected=f"{count} ordinary numbers", got=repr(value)[:80])
    return numbers


def _pairs(value: Any, what: str) -> tuple[list[float], list[float]]:
    """Return where a half-open box begins and ends, from one pair an axis."""
    if not isinstance(value, list) or len(value) != 3:
        raise PromptError(what, expected="a pair of each of three axes", got=repr(value)[:80])
    pairs = [_numbers(pair, 2, what) for pair in value]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _painted(client: Client, patch: NDArray[Any], box: Any, what: str) -> tuple[NDArray[Any], tuple[int, ...]]:
    """Return what was painted and where it begins, on the service's image."""
    region = None
    if box is not None:
        start, stop = _pairs(box, what)
        if any(n != int(n) for n in (*start, *stop)):
            raise PromptError(what, expected="a box of whole voxels", got=repr(box)[:80])
        region = Region(tuple(int(n) for n in start), tuple(int(n) for n in stop))
    begin = whole_or_part(patch, region, client.shape, what)
    return client.flat(patch), client.without_thin(begin)


# Routes


def _changes(ran: bool, difference: Difference | None) -> Response:
    """Return what a prompt changed: the box that holds it in the header, its voxels in the body."""
    meta: dict[str, Any] = {"ran_prediction": ran, "bbox": None}
    body = b""
    if ran and difference is not None:
        region, patch = difference
        meta["bbox"] = [list(pair) for pair in zip(region.start, region.stop, strict=True)]
        meta |= {"dtype": patch.dtype.name, "shape": list(patch.shape)}
        body = pack(patch)
    return Response(body, media_type="application/octet-stream", headers={META: json.dumps(meta)})


def _capabilities(service: Service) -> dict[str, Any]:
    names, kinds, flat = offered_kinds(service)
    return {
        "supported_interactions": {
            "points": "point" in kinds,
            "scribble": "scribble" in kinds,
            "lasso": "lasso" in kinds,
            "bbox2d": "box" in kinds,
            "bbox3d": "box" in kinds and not flat,
        },
        "channel_mapping": {"prev_seg": 0, **_CHANNELS},
        "num_interaction_channels": 7,
        "supports_initial_label": True,
        "supports_zero_shot_label_refinement": "mask" in kinds,
        "preferred_scribble_thickness": [round(DEFAULT_THICKNESS)] * 3,
        "interaction_decay": _DECAY,
        "patch_size": None,
        "do_autozoom": True,
        "inference_session_version": VERSION,
        "license": " and ".join(dict.fromkeys(model_card(name).licence for name in names)),
        "supports_undo": True,
    }


async def _unpacked(desk: Desk, request: Request, dtypes: frozenset[str] = _SAMPLES) -> NDArray[Any]:
    array: NDArray[Any] = await desk.service.hub.call(unpack, await request.body(), desk.limits.image, dtypes)
    return array


def routes(desk: Desk) -> APIRouter:
    """Return the protocol's routes."""
    router = APIRouter()
    _lease_routes(router, desk)
    _image_routes(router, desk)
    _prompt_routes(router, desk)
    return router


def _lease_routes(router: APIRouter, desk: Desk) -> None:
    """Add what is asked of leases, and what the server can do."""
    service, leases = desk.service, desk.leases

    @router.post("/claim")
    async def claim() -> dict[str, Any]:
        _blosc()
        lease: Lease[Client] = leases.claim()
        told = {"idle_timeout_seconds": leases.idle, "liveness_timeout_seconds": leases.alive}
        return {"lease_token": lease.token, "max_sessions": leases.most, **told}

    @router.post("/release")
    async def release(request: Request) -> dict[str, bool]:
        leases.release(request.headers.get(LEASE))
        return {"released": True}

    @router.post("/heartbeat")
    async def heartbeat(request: Request) -> dict[str, float]:
        return {"remaining_seconds": leases.remaining(leases.get(request.headers.get(LEASE), active=False))}

    @router.get("/lease_status")
    async def lease_status(request: Request) -> dict[str, float]:
        remaining = leases.remaining(leases.peek(request.headers.get(LEASE)))
        return {"remaining_seconds": remaining, "idle_timeout_seconds": leases.idle}

    @router.get("/capabilities")
    async def capabilities() -> dict[str, Any]:
        found: dict[str, Any] = await service.hub.call(_capabilities, service)
        return found


def _image_routes(router: APIRouter, desk: Desk) -> None:
    """Add what is asked of an image, and of an object as a whole."""
    leases = desk.leases

    @router.post("/set_image")
    async def set_image(request: Request) -> dict[str, Any]:
        async with leased(leases, request.headers.get(LEASE)) as client:
            properties = _object(request.headers.get(META), META).get("image_properties") or {}
            if not isinstance(properties, dict):
                raise InputError("image_properties", expected="an object", got=type(properties).__name__)
            spacing = spacing_of(properties.get("spacing"), 3)
            array = await _unpacked(desk, request)
            if array.ndim != 4 or array.shape[0] != 1:
                raise InputError("image", expected="one grey channel and three axes", got=f"the shape {array.shape}")
            await client.set_image(array[0], spacing)
            return {"original_image_shape": list(array.shape)}

    @router.post("/set_target_buffer")
    async def set_target_buffer(request: Request) -> dict[str, Any]:
        async with leased(leases, request.headers.get(LEASE)) as client:
            fields = _object(await request.body(), "body")
            if fields.get("shape") != list(client.shape):
                got = repr(fields.get("shape"))[:80]
                raise InputError("target buffer", expected=f"the image's shape {list(client.shape)}", got=got)
            if fields.get("dtype") not in _DTYPES:
                got = repr(fields.get("dtype"))[:80]
                raise InputError("target buffer", expected="whole numbers or truth values", got=got)
            return {}

    @router.post("/set_do_autozoom")
    async def set_do_autozoom(request: Request) -> dict[str, Any]:
        async with leased(leases, request.headers.get(LEASE)):
            # Our engines choose their window themselves.
            _flag(_object(await request.body(), "body"), "do_autozoom")
            return {}

    @router.post("/reset_interactions")
    async def reset(request: Request) -> dict[str, Any]:
        async with leased(leases, request.headers.get(LEASE)) as client:
            client.begin()
            return {}


def _prompt_routes(router: APIRouter, desk: Desk) -> None:
    """Add the prompts, each answered by what it changed."""
    service, leases = desk.service, desk.leases

    @router.post("/undo")
    async def undo(request: Request) -> Response:
        async with leased(leases, request.headers.get(LEASE)) as client:
            return _changes(*await client.undo())

    @router.post("/predict")
    async def predict(request: Request) -> Response:
        async with leased(leases, request.headers.get(LEASE)) as client:
            return _changes(*await client.predict())

    @router.post("/add_point_interaction")
    async def point(request: Request) -> Response:
        async with leased(leases, request.headers.get(LEASE)) as client:
            fields = _object(await request.body(), "body")
            _ = client.shape
            position = client.without_thin(_numbers(fields.get("coordinates"), 3, "coordinates"))
            prompt = Point(position[::-1], _flag(fields, "include_interaction"))
            ran = _flag(fields, "run_prediction", True)
            return _changes(ran, await client.prompt(prompt, ran))

    @router.post("/add_bbox_interaction")
    async def bbox(request: Request) -> Response:
        async with leased(leases, request.headers.get(LEASE)) as client:
            fields = _object(await request.body(), "body")
            _ = client.shape
            low, high = (client.without_thin(corner) for corner in _pairs(fields.get("bbox_coords"), "bbox_coords"))
            prompt = Box(low[::-1], high[::-1], _flag(fields, "include_interaction"))
            ran = _flag(fields, "run_prediction", True)
            return _changes(ran, await client.prompt(prompt, ran))

    @router.post("/add_scribble_interaction")
    async def scribble(request: Request) -> Response:
        return await painted(request, "scribble")

    @router.post("/add_lasso_interaction")
    async def lasso(request: Request) -> Response:
        return await painted(request, "lasso")

    async def painted(request: Request, kind: str) -> Response:
        async with leased(leases, request.headers.get(LEASE)) as client:
            fields = _object(request.headers.get(META), META)
            _ = client.shape
            positive, ran = _flag(fields, "include_interaction"), _flag(fields, "run_prediction", True)
            patch, start = _painted(client, await _unpacked(desk, request), fields.get("interaction_bbox"), kind)
            make = painted_scribble if kind == "scribble" else painted_lasso
            prompt = await service.hub.call(make, patch, start, positive)
            return _changes(ran, await client.prompt(prompt, ran))

    @router.post("/add_initial_seg_interaction")
    async def initial(request: Request) -> Response:
        async with leased(leases, request.headers.get(LEASE)) as client:
            fields = _object(request.headers.get(META), META)
            _ = client.shape
            ran = _flag(fields, "run_prediction", False)
            patch, _ = _painted(client, await _unpacked(desk, request), None, "initial segmentation")
            prompt: InitialMask = await service.hub.call(InitialMask, patch)
            # The client has taken it for the mask already.
            return _changes(ran, await client.prompt(prompt, ran, prompt.packed))


PROTOCOLS.register("nninteractive")(
    Protocol(
        title="nnInteractive",
        paths=(
            "/claim",
            "/release",
            "/heartbeat",
            "/lease_status",
            "/capabilities",
            "/set_image",
            "/set_target_buffer",
            "/set_do_autozoom",
            "/reset_interactions",
            "/undo",
            "/predict",
            "/add_point_interaction",
            "/add_bbox_interaction",
            "/add_scribble_interaction",
            "/add_lasso_interaction",
            "/add_initial_seg_interaction",
        ),
        routes=routes,
        problem=in_field("detail"),
    )
)

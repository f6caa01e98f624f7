"""What MONAI Label's clients ask of a datastore: images, masks under tags, and which image comes next."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.datastructures import UploadFile

from bedside.core.errors import ChoiceError, FormatError, InputError
from bedside.core.files import scratch_folder
from bedside.io import write_image
from bedside.serve.allowance import Allowance
from bedside.serve.arriving import arriving
from bedside.serve.cleaning import UNPACKED
from bedside.serve.clients import open_sent
from bedside.serve.datastore import FINAL, Datastore, suffix_of
from bedside.serve.errors import NotFoundError, NotOfferedError, TooLargeError
from bedside.serve.opened import OpenImage
from bedside.serve.places import safe_relative
from bedside.serve.routes.common import attachment
from bedside.serve.sent_labels import sent_labels
from bedside.serve.service import Service

STRATEGIES = {
    "quality": "The image whose mask the model itself thinks worst of; then those that nobody has begun",
    "first": "The first image without a final label",
    "random": "Any image without a final label",
}
Info = dict[str, Any]


def object_in(text: object, what: str) -> Info:
    """Return the object that a field holds as JSON; an empty one where there is no such field."""
    try:
        found = json.loads(text) if isinstance(text, str | bytes) and text else {}
    except ValueError as error:
        raise InputError(what, expected="JSON", got=repr(text)[:80]) from error
    if not isinstance(found, dict):
        raise InputError(what, expected="a JSON object", got=type(found).__name__)
    return found


async def opened_image(service: Service, store: Datastore, name: str) -> OpenImage:
    """Return an image of the datastore.

    Raises:
        NotFoundError: There is none of that name.
        BedsideError: It cannot be opened.
    """
    place = (await service.hub.call(store.image, name)).place
    with told_by_name(place.path):
        return await service.open_at(place.path, place.series, place.volume)


@contextmanager
def told_by_name(path: Path) -> Iterator[None]:
    """Say errors of a file without the folder that it lies in, which is nobody's business on another machine."""
    try:
        yield
    except (FormatError, InputError) as error:
        said = [t and t.replace(f"{path}", path.name) for t in (error.what, error.expected, error.got, error.fix)]
        if isinstance(error, ChoiceError):
            # A client of another program has no worklist to choose in.
            said[3] = "send one of them as a file of its own"
        kind = TooLargeError if isinstance(error, TooLargeError) else InputError
        raise kind(said[0] or path.name, expected=said[1], got=said[2], fix=said[3]) from error


def sent(path: Path) -> FileResponse:
    """Return the answer that is a file.

    Raises:
        NotFoundError: There is none.
    """
    if not path.is_file():
        raise NotFoundError("file", got="none, or a folder")
    return FileResponse(path, media_type="application/octet-stream", headers=attachment(path.name))


def image_routes(
    router: APIRouter, service: Service, store: Datastore, most: int, allowance: Callable[[], Allowance]
) -> None:
    """Add the images of the datastore; one that is sent takes ``most`` bytes, and of what its client may take."""

    async def added(request: Request, image: str = "") -> Info:
        async with request.form(max_files=1, max_fields=8) as form:
            file, params = form.get("file"), object_in(form.get("params"), "params")
            if not isinstance(file, UploadFile):
                raise InputError("request", expected="a form with 'file'", got="no file")
            # What can be known before is checked before anything is kept.
            own = safe_relative(file.filename or "image").name
            name = image or own.removesuffix(suffix_of(own))
            await service.hub.call(store.free, name, own)
            allowance().check(images=1)
            # Read before it lies beside the others, by a process of its own where its format is one to fear.
            async with arriving(service, [file]) as place:
                with told_by_name(place):
                    opened = await open_sent(service, place, most)
                    await service.hub.call(store.free, name, own)
                    allowance().take(images=1, bytes=opened.image.array.nbytes)
                    await service.hub.call(store.add, name, place)
        if params:
            await service.hub.call(store.update_info, name, params)
        return {"image": name}

    async def removed(name: Annotated[str, Query(alias="id")]) -> Info:
        await service.hub.call(store.remove, name)
        return {}

    @router.get("/datastore/")
    async def datastore(output: Literal["all", "stats", "train"] = "stats") -> Any:
        if output == "train":
            listed = (await service.hub.call(store.listing))["objects"]
            full = {name: one for name, one in listed.items() if FINAL in one["labels"]}
            return [
                {"image": one["image"]["info"]["name"], "label": f"{FINAL}/{one['labels'][FINAL]['info']['name']}"}
                for one in full.values()
            ]
        return await service.hub.call(store.listing if output == "all" else store.status)

    for path in ("/datastore/", "/datastore/image"):
        router.put(path)(added)
        router.delete(path)(removed)

    @router.api_route("/datastore/image", methods=["GET", "HEAD"], response_model=None)
    async def image(image: str) -> Response:
        entry = await service.hub.call(store.image, image)
        if entry.suffix:
            return sent(entry.place.path)
        opened = await opened_image(service, store, image)

        def nifti() -> bytes:
            with scratch_folder(service.folder / UNPACKED) as scratch:
                write_image(scratch / "image.nii.gz", opened.image)
                return (scratch / "image.nii.gz").read_bytes()

        body = await service.hub.call(nifti)
        return Response(body, media_type="application/octet-stream", headers=attachment(entry.name))

    @router.get("/datastore/image/info")
    async def image_info(image: str) -> Info:
        found: Info = await service.hub.call(store.info, image)
        return found

    @router.put("/datastore/image/info")
    async def update_image_info(request: Request, image: str) -> Info:
        await service.hub.call(store.update_info, image, await _field(request, "info"))
        return {}


def label_routes(router: APIRouter, service: Service, store: Datastore) -> None:
    """Add the masks that clients keep in the datastore."""

    @router.put("/datastore/label")
    async def save(request: Request, image: str, tag: str = FINAL) -> Info:
        async with request.form(max_files=1, max_fields=8) as form:
            file, params = form.get("label"), object_in(form.get("params"), "params")
            if not isinstance(file, UploadFile):
                raise InputError("request", expected="a form with 'label'", got="no file")
            opened = await opened_image(service, store, image)
            await service.hub.call(_save, service, store, opened, image, tag or FINAL, file, params)
        return {"image": image, "label": image}

    @router.api_route("/datastore/label", methods=["GET", "HEAD"], response_model=None)
    async def label(label: str, tag: str = FINAL) -> Response:
        return sent(await service.hub.call(store.label, label, tag))

    @router.delete("/datastore/label")
    async def remove(name: Annotated[str, Query(alias="id")], tag: str) -> Info:
        await service.hub.call(store.remove_label, name, tag)
        return {}

    @router.get("/datastore/label/info")
    async def label_info(label: str, tag: str) -> Info:
        found: Info = await service.hub.call(store.label_info, label, tag)
        return found

    def updates(field: str) -> Callable[..., Any]:
        async def update(request: Request, label: str, tag: str) -> Info:
            await service.hub.call(store.update_label_info, label, tag, await _field(request, field))
            return {}

        return update

    router.put("/datastore/label/info")(updates("info"))
    router.put("/datastore/updatelabelinfo")(updates("params"))


def sample_routes(router: APIRouter, service: Service, store: Datastore) -> None:
    """Add which image comes next; and what is asked of servers that train, in their form for "there is none"."""

    @router.post("/activelearning/{strategy}")
    async def sample(strategy: str) -> Info:
        if strategy not in STRATEGIES:
            raise NotFoundError("strategy", expected=f"one of {', '.join(STRATEGIES)}", got=repr(strategy)[:80])
        found: Info = await service.hub.call(_next, service, store, strategy)
        return found

    async def none() -> None:
        raise NotOfferedError("training and scoring", fix="bedside train and bedside evaluate do this on the server")

    for methods, path in (
        (["GET", "POST", "DELETE"], "/train/"),
        (["POST"], "/train/{model}"),
        (["GET", "DELETE"], "/batch/infer/"),
        (["POST"], "/batch/infer/{model}"),
        (["GET", "POST", "DELETE"], "/scoring/"),
        (["POST"], "/scoring/{method}"),
    ):
        router.add_api_route(path, none, methods=methods)


def _next(service: Service, store: Datastore, strategy: str) -> Info:
    """Return the image to work on next, with what is said of it; nothing where all have a final label."""
    names = store.unlabelled()
    if not names:
        return {}
    said: Info = {}
    name = names[0]
    if strategy == "random":
        name = secrets.choice(names)
    elif strategy == "quality":
        known = {one: quality for one in names if (quality := _quality(service, store, one)) is not None}
        if known:
            name = min(known, key=lambda one: known[one])
            said = {"quality": known[name]}
        else:
            name = next((one for one in names if not _begun(service, store, one)), name)
    return {"id": name, **said, **store.info(name)}


def _image_of(service: Service, store: Datastore, name: str) -> int | None:
    """Return the number of an image that was opened before."""
    place = store.image(name).place
    number = service.workspace.item(str(place.path), place.series, place.volume, place.name)
    return service.item(number).image


def _quality(service: Service, store: Datastore, name: str) -> float | None:
    image = _image_of(service, store, name)
    return None if image is None else service.workspace.lowest_quality(image)


def _begun(service: Service, store: Datastore, name: str) -> bool:
    image = _image_of(service, store, name)
    return image is not None and service.workspace.objects(image) > 0


async def _field(request: Request, name: str) -> Info:
    async with request.form(max_files=0, max_fields=8) as form:
        return object_in(form.get(name), name)


def _save(
    service: Service, store: Datastore, opened: OpenImage, image: str, tag: str, file: UploadFile, params: Info
) -> None:
    """Keep a mask that was sent, once it is known to be one of its image."""
    with sent_labels(service, opened, file) as (path, _):
        store.save_label(image, tag, path, params)

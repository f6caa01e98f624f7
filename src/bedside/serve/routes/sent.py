"""Files that a request names or carries."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import Request
from pydantic import BaseModel
from starlette.datastructures import UploadFile

from bedside.core.errors import InputError
from bedside.io.bounds import free_disk
from bedside.serve.places import MEMBERS, copy_limited, safe_relative, single_image
from bedside.serve.security import UPLOAD_LIMIT


def upload_body(otherwise: type[BaseModel] | None = None) -> dict[str, Any]:
    """Return how OpenAPI describes a body of files; ``otherwise`` is the message of JSON that may come in its place."""
    files = {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}}
    content: dict[str, Any] = {
        "multipart/form-data": {"schema": {"type": "object", "required": ["files"], "properties": files}}
    }
    if otherwise is not None:
        content["application/json"] = {"schema": otherwise.model_json_schema()}
    return {"requestBody": {"required": True, "content": content}}


@asynccontextmanager
async def sent_files(request: Request) -> AsyncIterator[list[UploadFile]]:
    """Yield the files that a browser sent.

    Raises:
        InputError: There is none.
    """
    async with request.form(max_files=MEMBERS) as form:
        files = [file for file in form.getlist("files") if isinstance(file, UploadFile)]
        if not files:
            raise InputError("upload", expected="files in the field 'files'", got="none")
        yield files


def receive(files: Sequence[UploadFile], folder: Path) -> None:
    """Write files that were sent into a folder.

    Raises:
        InputError: Two have one name, or one has none that can be used.
        TooLargeError: They are more than an upload may be, or than the disk has room for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    left = min(UPLOAD_LIMIT, free_disk(folder))
    for file in files:
        path = folder / safe_relative(file.filename or "image")
        if path.exists():
            raise InputError("upload", expected="files of different names", got=f"{path.name} twice")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as sink:
            left -= copy_limited(file.file, sink, left, "upload")


def sent_file(folder: Path) -> Path:
    """Return the one file of what was sent, or the folder itself where it holds the slices of DICOM.

    Raises:
        FormatError: There are several.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    return files[0] if len(files) == 1 else single_image(folder, "upload")

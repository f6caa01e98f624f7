"""What is no image is told by its own name, whatever it is called."""

from __future__ import annotations

import io as streams
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from bedside import io
from bedside.core.errors import FormatError


def of_pillow(kind: str) -> bytes:
    content = streams.BytesIO()
    PIL.Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(content, kind)
    return content.getvalue()


def of_numpy() -> bytes:
    content = streams.BytesIO()
    np.save(content, np.zeros((3, 4)))
    return content.getvalue()


def archive(kind: str) -> bytes:
    content = streams.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(content, "w") as packed:
            packed.writestr("a.dcm", b"a")
    else:
        with tarfile.open(fileobj=content, mode=f"w:{kind}") as tar:
            tar.addfile(tarfile.TarInfo("a.dcm"))
    return content.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n"
KINDS: dict[str, tuple[Callable[[], bytes], str]] = {
    "nothing": (bytes, "is empty; fetch or write it again"),
    "pointer": (lambda: POINTER, "got a pointer of Git LFS.*git lfs pull"),
    "page": (lambda: b"<!DOCTYPE html>\n<title>404</title>", "got a web page"),
    "zip": (lambda: archive("zip"), "got a zip archive; unpack it first"),
    "tar": (lambda: archive(""), "got a tar archive; unpack it first"),
    "tar.gz": (lambda: archive("gz"), "got a tar archive; unpack it first"),
    "gif": (lambda: of_pillow("GIF"), "got a GIF; save it as PNG or TIFF first"),
    "webp": (lambda: of_pillow("WEBP"), "got a WebP; save it as PNG or TIFF first"),
    "jp2": (lambda: of_pillow("JPEG2000"), "got a JPEG 2000 picture; save it"),
    "npy": (of_numpy, r"got an array of NumPy; write it as NIfTI, or with numpy.savez\(path, imgs=array\)"),
}


@pytest.mark.parametrize("name", ["scan", "scan.nii.gz", "scan.dcm", "scan.png", "scan.mha", "scan.tif"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_image_is_told_by_its_name(tmp_path: Path, kind: str, name: str) -> None:
    make, message = KINDS[kind]
    (tmp_path / name).write_bytes(make())
    if kind == "zip" and name != "scan":
        # An image whose format is a zip may have this name.
        message = "scan"
    with pytest.raises(FormatError, match=message):
        io.read_image(tmp_path / name)

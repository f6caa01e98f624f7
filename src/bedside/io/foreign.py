"""Files that are no image here, and that people give for one: what they are, by how they begin."""

from __future__ import annotations

from bedside.core.errors import FormatError

_UNPACK = "unpack it first"
_CONVERT = "save it as PNG or TIFF first"
_ARRAY = "write it as NIfTI, or with numpy.savez(path, imgs=array)"
_KINDS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"version https://git-lfs", "a pointer of Git LFS, and not the file itself", "fetch it (git lfs pull)"),
    (0, b"<!doctype html", "a web page", "fetch the file itself"),
    (0, b"<html", "a web page", "fetch the file itself"),
    (0, b"pk\x03\x04", "a zip archive", _UNPACK),
    (0, b"rar!", "a RAR archive", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "compressed by zstd", _UNPACK),
    (0, b"gif8", "a GIF", _CONVERT),
    (8, b"webp", "a WebP", _CONVERT),
    (4, b"jp  \r\n\x87\n", "a JPEG 2000 picture", _CONVERT),
    (0, b"%pdf", "a PDF", _CONVERT),
    (0, b"\x93numpy", "an array of NumPy", _ARRAY),
    (0, b"\x89hdf\r\n", "HDF5", _ARRAY),
    (0, b"matlab 5.0", "a file of MATLAB", _ARRAY),
    (0, b"zisrawfile", "a CZI of Zeiss", "convert it to OME-TIFF first (bfconvert of Bio-Formats)"),
    (0, b"# vtk datafile", "a file of VTK", "write it as NRRD or MetaImage"),
)
"""Where it stands, the mark in lower case, what it tells, and what to do."""


def reject_foreign(what: str, head: bytes, *, named: bool) -> None:
    """Reject what is known to be no image here.

    Args:
        what: The file, for the message.
        head: How it begins; its content where it is compressed as a whole.
        named: Whether its name is that of a format that is read, some of which are zips.

    Raises:
        FormatError: It is empty, or of another kind.
    """
    if not head:
        raise FormatError(f"{what} is empty", fix="fetch or write it again")
    lowered = head[:512].lower()
    for place, mark, kind, fix in _KINDS:
        if lowered.startswith(mark, place) and not (named and kind == "a zip archive"):
            raise FormatError(f"{what}: unknown format", expected="an image", got=kind, fix=fix)

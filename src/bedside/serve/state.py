"""What the page asks for first, as it takes it."""

from __future__ import annotations

from bedside.core.image import Image
from bedside.io.registry import WRITERS
from bedside.serve.message import Message
from bedside.serve.messages import Item, WindowPreset


class SaveFormat(Message):
    """A format that masks are saved in.

    Attributes:
        format: What to ask ``/export`` for: the suffix without its first dot, or the kind of DICOM object.
        title: Its name for people.
        suffix: What the file's name ends in.
        dimensions: Axes of the images whose masks it holds.
        dicom: Whether it is a DICOM object, which only images from DICOM files can have (``ImageInfo.dicom_formats``).
        overlaps: Whether objects may overlap in it.
        names: Whether it keeps the names of objects.
    """

    format: str
    title: str
    suffix: str
    dimensions: list[int]
    dicom: bool = False
    overlaps: bool = False
    names: bool = False


class ServerState(Message):
    """What the page asks for first.

    Attributes:
        first: Item to open at once, where the command named one image or a folder; None for the empty state.
        recent: Items opened before, the last first, for the empty state.
        presets: Display windows for CT.
        readers: Formats that open, with their suffixes.
        writers: Formats that are saved, with their suffixes.
        formats: The same, one entry a suffix, for a choice.
        sample: Whether ``POST /api/sample`` has a picture to try things on.
        pacs: Address of the PACS that is searched, fetched from and stored to; None where none is configured.
    """

    version: str
    workspace: str
    default_model: str
    first: int | None
    recent: list[Item]
    presets: list[WindowPreset]
    readers: dict[str, list[str]]
    writers: dict[str, list[str]]
    formats: list[SaveFormat]
    sample: bool
    upload_limit: int
    pacs: str | None = None


DICOM_OBJECTS = {"dicom-seg": "DICOM SEG", "rtstruct": "RTSTRUCT"}
"""Objects that masks are saved as, with their names for people."""


def save_formats() -> list[SaveFormat]:
    """Return every format that masks are saved in, one entry a suffix, and the DICOM objects."""
    files = [
        SaveFormat(
            format=suffix.removeprefix("."),
            title=writer.title,
            suffix=suffix,
            dimensions=list(writer.dimensions),
            names=writer.names,
        )
        for _, writer in WRITERS.items()
        for suffix in writer.suffixes
    ]
    objects = [
        SaveFormat(format=kind, title=title, suffix=".dcm", dimensions=[2, 3], dicom=True, overlaps=True, names=True)
        for kind, title in DICOM_OBJECTS.items()
    ]
    return [*files, *objects]


def dicom_formats(image: Image) -> list[str]:
    """Return the DICOM objects that masks of an image can be saved as: they refer to the files that it is from."""
    if not image.metadata.get("series_uid"):
        return []
    # Contours lie in the patient; a picture without a place there has none.
    placed = bool(image.metadata.get("frame_of_reference_uid"))
    return [kind for kind in DICOM_OBJECTS if kind != "rtstruct" or placed]

"""Where images are: in a file, in a folder of many, in a zip, or in what a browser sent."""

from __future__ import annotations

import hashlib
import logging
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bedside.core.disk import storage_error
from bedside.core.errors import BedsideError, FormatError, InputError
from bedside.core.files import move_into_place, scratch_folder
from bedside.core.walking import DEEPEST, MOST, files_below
from bedside.io.bounds import check_declared, free_disk
from bedside.io.quiet import reason
from bedside.serve.errors import TooLargeError
from bedside.serve.security import UPLOAD_LIMIT
from bedside.worklist.outlines import BESIDE

log = logging.getLogger("bedside.serve")

MEMBERS = 50_000
"""Files that a zip may hold."""
INDEX, LABELS = "datastore_v2.json", "labels"
"""What MONAI Label keeps in a folder of images: a list of them, and a folder of masks, which are no images."""
_FILM = 200
"""Images that one place puts on the worklist at most; what holds more is a film."""
_PIECE = 2**20


@dataclass(frozen=True)
class Place:
    """Where one image is.

    Attributes:
        path: A file, or a folder with one DICOM series.
        name: What to show.
        series: The DICOM series, where the folder holds several.
        volume: Which of its volumes, where it holds several.
    """

    path: Path
    name: str
    series: str | None = None
    volume: int | None = None


def absolute(path: str) -> Path:
    """Return the path that a user named.

    Raises:
        InputError: It is not absolute, or of a home that nobody has.
    """
    try:
        found = Path(path).expanduser()
    except RuntimeError as error:
        raise InputError("path", expected="the home of a user of this machine", got=repr(path)[:200]) from error
    if "\0" in path or not found.is_absolute():
        raise InputError("path", expected="an absolute path on this machine", got=repr(path)[:200])
    return found


Mark = tuple[tuple[str, int, int, int], ...]
"""What tells a file, or the files of a folder, from others that take their place: name, size, times of change."""


def mark_of(path: Path) -> Mark:
    """Return the mark of what lies at a path; an empty one where nothing does."""
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        found = [(file.name, file.stat()) for file in files]
    except OSError:
        return ()
    return tuple((name, s.st_size, s.st_mtime_ns, s.st_ctime_ns) for name, s in found)


def find_images(root: Path) -> list[Place]:
    """Return the images below a folder, by their suffixes, and its DICOM series, in natural order.

    Raises:
        FormatError: There is none.
    """
    found = list(_walk(root, root, [MOST]))
    if not found:
        raise FormatError(
            f"{root}: no image here", expected="a folder with images", fix="bedside info lists the formats"
        )
    return found


def _walk(root: Path, folder: Path, left: list[int]) -> Iterator[Place]:
    """Yield the images below a folder, until so many files and folders as are ``left`` were looked at."""
    if len(folder.parts) - len(root.parts) > DEEPEST:
        return
    try:
        entries = sorted(folder.iterdir(), key=lambda path: natural(path.name))
    except OSError:
        return
    left[0] -= len(entries)
    if left[0] < 0:
        log.warning("%s: only the first %d files and folders were looked at", root, MOST)
        return
    # Masks that were saved beside an image are no images to be worked on; each has a record of its own.
    masks = tuple(
        p.name.removeprefix(".").removesuffix(BESIDE) + "." for p in entries if p.name.endswith(f"-labels{BESIDE}")
    )
    files = [p for p in entries if not p.name.startswith((".", *masks)) and p.is_file()]
    suspects = [path for path in files if not _suffix_known(path)]
    yield from (Place(path, str(path.relative_to(root))) for path in files if path not in suspects)
    # The slices of a series lie together: where one file is DICOM the whole folder is asked for its series.
    if any(_is_dicom(path) for path in suspects[:20]):
        yield from _series_of(root, folder)
    for path in entries:
        labels = path.name == LABELS and folder / INDEX in entries
        if path.is_dir() and not path.is_symlink() and not path.name.startswith(".") and not labels:
            yield from _walk(root, path, left)


def _series_of(root: Path, folder: Path) -> Iterator[Place]:
    from bedside.io.dicom.partition import main_volume, volumes_of
    from bedside.io.dicom.series import find_series
    from bedside.io.quiet import quiet

    name = folder.name if folder == root else str(folder.relative_to(root))
    with quiet():
        series = [s for s in find_series(folder) if {f.path.parent for f in s.frames} == {folder}]
    alone = len(series) == 1 and not any(path.is_dir() for path in folder.iterdir())
    for one in series:
        title = name if alone else f"{name}: {one.description or 'series ' + (one.number or '?')}"
        uid = None if alone else one.uid
        volumes = volumes_of(folder, one.frames)
        if main_volume(volumes) is not None or len(volumes) > _FILM:
            yield Place(folder, title, uid)
            continue
        for number, volume in enumerate(volumes):
            yield Place(folder, f"{title}: {volume.name or volume}", uid, number)


def choices_at(path: Path, series: str | None, count: int | None) -> list[Place]:
    """Return the images at a path that holds several, of which one has to be chosen.

    Args:
        path: A file or folder.
        series: The DICOM series that was chosen already.
        count: How many volumes a file of another format holds.
    """
    from bedside.io.contents import contents
    from bedside.io.registry import find_reader

    if find_reader(path)[0].takes_series:
        found = [item for item in contents(path) if series in (None, item.series)]
        several = len({item.series for item in found}) > 1
        named = (
            (f"{path.name}: {item.series_title.split(' (')[0] + ', ' if several else ''}{item.title}", item)
            for item in found[:_FILM]
        )
        return [Place(path, name, item.series, item.volume) for name, item in named]
    return [Place(path, f"{path.name}: volume {n}", None, n) for n in range(min(count or 0, _FILM))]


def _suffix_known(path: Path) -> bool:
    """Return whether a reader claims the file by its name alone; DICOM files are looked into instead."""
    from bedside.io import readers

    name = path.name.lower()
    return any(name.endswith(s) for format_, suffixes in readers().items() if format_ != "dicom" for s in suffixes)


def _is_dicom(path: Path) -> bool:
    from bedside.io.dicom.series import is_dicom

    try:
        return is_dicom(path) or path.suffix.lower() in (".dcm", ".dicom", ".ima")
    except OSError:
        return False


def natural(name: str) -> list[tuple[int, int, str]]:
    """Return a key that sorts "slice 10" after "slice 9"."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part.lower()) for part in re.split(r"(\d+)", name) if part]


def is_archive(path: Path) -> bool:
    """Return whether a path is a zip of images (and not one of the formats that are zips themselves)."""
    return path.suffix.lower() == ".zip" and path.is_file()


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a zip of one image into a folder, once, and say where the image is.

    Args:
        archive: A zip of DICOM files, or of a single file of another format.
        folder: Where unpacked archives are kept.

    Raises:
        FormatError: It is no zip, damaged, encrypted, or holds no image or several.
        TooLargeError: It would be too large, or holds too many files.
    """
    target = folder / _digest(archive)
    if not target.is_dir():
        with scratch_folder(folder) as scratch:
            inside = scratch / "files"
            inside.mkdir()
            try:
                _extract(archive, inside)
            except BedsideError:
                raise
            # Each kind of compression has its own error for bytes that are damaged.
            except Exception as error:
                full = storage_error(folder, error)
                raise full or FormatError(
                    f"{archive}", expected="a zip that can be unpacked", got=reason(error)
                ) from error
            move_into_place(inside, target)
    return single_image(target, archive.name)


def single_image(folder: Path, name: str) -> Path:
    """Return the one image in a folder: a file, or the folder itself where it holds DICOM.

    Raises:
        FormatError: There is none, or several.
    """
    files = sorted(files_below(folder))
    if not files:
        raise FormatError(f"{name}", expected="an image", got="no file in it")
    known = [path for path in files if _suffix_known(path)]
    # A header and its samples are two files of one image.
    headers = [path for path in known if path.suffix.lower() in (".mhd", ".nhdr")]
    chosen = headers if len(headers) == 1 else known
    if len(chosen) == 1:
        return chosen[0]
    if not known:
        return folder
    raise FormatError(f"{name}", expected="one image, or the files of one DICOM series", got=f"{len(known)} images")


def _extract(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        members = [m for m in opened.infolist() if not m.is_dir() and "__MACOSX" not in m.filename]
        if len(members) > MEMBERS:
            raise TooLargeError(f"{archive}", expected=f"at most {MEMBERS} files", got=len(members))
        stored = archive.stat().st_size
        # Members that share their bytes, as in archives made to fill a disk, unpack to more than the code can give.
        check_declared(f"{archive}", sum(m.file_size for m in members), stored, _code_of(members))
        left = min(UPLOAD_LIMIT, free_disk(target))
        for member in members:
            path = target / safe_relative(member.filename)
            path.parent.mkdir(parents=True, exist_ok=True)
            # What the header says of the size may be a lie: what comes out is counted.
            with opened.open(member) as source, path.open("wb") as sink:
                left -= copy_limited(source, sink, left, str(archive))


def _code_of(members: Sequence[zipfile.ZipInfo]) -> str:
    """Return the code of an archive, as ``bounds.RATIO`` has it."""
    codes = {m.compress_type for m in members}
    return "deflate" if codes <= {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} else "loose"


def copy_limited(source: IO[bytes], sink: IO[bytes], limit: int, what: str) -> int:
    """Copy a stream; returns how many bytes it had.

    Raises:
        TooLargeError: There are more than ``limit``.
    """
    copied = 0
    while piece := source.read(_PIECE):
        copied += len(piece)
        if copied > limit:
            room = "" if limit >= UPLOAD_LIMIT else ", and room on the disk"
            raise TooLargeError(f"{what}", expected=f"at most {UPLOAD_LIMIT / 2**30:.0f} GiB unpacked{room}")
        sink.write(piece)
    return copied


def safe_relative(name: str) -> Path:
    """Return a name from a stranger as a relative path that cannot leave its folder.

    Raises:
        InputError: Nothing of it can be used.
    """
    parts = [part for part in re.split(r"[/\\]+", name) if part not in ("", ".", "..")]
    parts = [part for part in parts if not re.fullmatch(r"[A-Za-z]:", part)]
    if len(parts) > DEEPEST:
        raise InputError("file name", expected=f"at most {DEEPEST} folders", got=len(parts))
    kept = [re.sub(r"[^\w.+()\[\] -]", "_", part).lstrip(".")[-120:] or "_" for part in parts]
    if not kept:
        raise InputError("file name", expected="a name", got=repr(name)[:80])
    return Path(*kept)


def keep_upload(scratch: Path, folder: Path) -> Path:
    """Move files that were received into ``scratch`` to a folder named by their content, and say where that is.

    What was received before stays, and ``scratch``, too.
    """
    digest = hashlib.sha256()
    for path in sorted(p for p in scratch.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(scratch)}\0{_digest(path)}\0".encode())
    target = folder / digest.hexdigest()[:24]
    if not target.is_dir():
        move_into_place(scratch, target)
    return target


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:24]

"""``bedside cache``: embeddings of the SAM family that are kept on the disk."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedside.core.errors import BedsideError, InputError

if TYPE_CHECKING:
    from bedside.engines.sam.embeddings import EmbeddingStore

cache = typer.Typer(
    name="cache",
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Embeddings of the SAM family in the folder BEDSIDE_EMBEDDINGS, of at most BEDSIDE_EMBEDDINGS_GB (10).",
)

FolderOption = Annotated[
    Path | None, typer.Option("--folder", metavar="DIR", help="Folder, instead of that of BEDSIDE_EMBEDDINGS.")
]


@cache.command(short_help="Encode images now, so that masks come faster later.")
def precompute(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model of the SAM family.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Images, or folders of images.")],
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    folder: FolderOption = None,
) -> int:
    """Encode images, and every slice of volumes; what is kept already is not encoded again.

    An image that cannot be read is named on stderr, with exit status 1.
    """
    import os

    from bedside.cli.loading import load_model
    from bedside.engines.sam.embeddings import FOLDER_VARIABLE
    from bedside.engines.sam.slices import SliceSegmenter
    from bedside.io import read_image

    store = _store(folder)
    os.environ[FOLDER_VARIABLE] = str(store.folder)
    loaded = load_model(model, device)
    segmenter = getattr(loaded, "segmenter", loaded)
    if not isinstance(segmenter, SliceSegmenter):
        raise InputError(f"model '{model}'", expected="one of the SAM family, which encodes an image once", got="none")
    slices = failed = 0
    for path in _images(images):
        try:
            slices += segmenter.encode(read_image(path))
        except BedsideError as error:
            failed += 1
            print(f"{path}: {error}", file=sys.stderr)
    entries = list(store.entries())
    left = f"{len(entries)} embeddings ({sum(entry.bytes for entry in entries) / 1e6:.1f} MB) in {store.folder}"
    print(f"{slices} slices encoded or found; there are {left}")
    if slices > len(entries):
        print(f"fewer than were encoded: no more than {store.limit / 1e9:g} GB are kept", file=sys.stderr)
    return 1 if failed else 0


@cache.command("list", short_help="Say how much there is, by model.")
def list_kept(folder: FolderOption = None) -> None:
    """Print embeddings and bytes of each model with its weights, and of all."""
    from bedside.cli.models import table
    from bedside.engines.sam.embeddings import read_maker

    counts, sizes = Counter[tuple[str, str, str]](), Counter[tuple[str, str, str]]()
    for entry in _store(folder, there=True).entries():
        made = read_maker(entry.path)
        key = (made.get("model", "?"), made.get("weights", "?")[:12], made.get("runtime", "?"))
        counts[key] += 1
        sizes[key] += entry.bytes
    rows = [[*key, str(counts[key]), f"{sizes[key] / 1e6:.1f}"] for key in sorted(counts)]
    total = ["all", "", "", str(counts.total()), f"{sizes.total() / 1e6:.1f}"]
    print("\n".join(table([["model", "weights", "runtime", "slices", "MB"], *rows, total])))


@cache.command(short_help="Remove what was used longest ago.")
def prune(
    gb: Annotated[float, typer.Option("--gb", metavar="GB", help="What may stay; 0 removes all.")],
    folder: FolderOption = None,
) -> None:
    """Remove embeddings, those used longest ago first, until no more than --gb is left."""
    if not 0 <= gb < float("inf"):
        raise InputError("--gb", expected="0 or more", got=gb)
    store = _store(folder, there=True)
    removed = store.prune(gb * 1e9)
    left = sum(entry.bytes for entry in store.entries())
    print(f"{removed} removed, {left / 1e6:.1f} MB left")


@cache.command(short_help="Compare all with their checksums.")
def verify(
    remove: Annotated[bool, typer.Option("--remove", help="Remove those that are damaged.")] = False,
    folder: FolderOption = None,
) -> int:
    """Read every embedding and compare it with its checksum; those that are damaged are named, with exit status 1.

    Damaged ones are never used: the slice is encoded again.
    """
    from bedside.engines.sam.embeddings import read_embedding

    sound, damaged = 0, []
    for entry in _store(folder, there=True).entries():
        if read_embedding(entry.path) is None:
            damaged.append(entry.path)
            if remove:
                entry.path.unlink(missing_ok=True)
        else:
            sound += 1
    for path in sorted(damaged):
        print(f"{path}: damaged{', removed' if remove else ''}", file=sys.stderr)
    print(f"{sound} sound, {len(damaged)} damaged")
    return 1 if damaged else 0


def _store(folder: Path | None, *, there: bool = False) -> EmbeddingStore:
    import os

    from bedside.engines.sam.embeddings import FOLDER_VARIABLE, EmbeddingStore, chosen_limit

    named = os.environ.get(FOLDER_VARIABLE)
    if folder is None and not named:
        raise InputError("folder of embeddings", expected=f"--folder or {FOLDER_VARIABLE}", got="none")
    place = folder if folder is not None else Path(named or "")
    if place.exists() and not place.is_dir():
        raise InputError("folder of embeddings", expected="a folder", got=f"the file {place}")
    if there and not place.exists():
        raise InputError("folder of embeddings", expected="an existing folder", got=f"{place}")
    return EmbeddingStore(place, chosen_limit())


def _images(paths: list[Path]) -> Iterator[Path]:
    """Yield files as they are, and of folders the images that have a suffix of a format; a DICOM folder itself."""
    from bedside.core.walking import files_below
    from bedside.io import readers

    suffixes = tuple(suffix for own in readers().values() for suffix in own)
    for path in paths:
        below = [p for p in files_below(path) if p.name.lower().endswith(suffixes)] if path.is_dir() else []
        yield from below or [path]

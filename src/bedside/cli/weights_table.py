"""What ``bedside weights`` lists, and the bar of a download."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from bedside.weights.catalogue import Source
    from bedside.weights.models import ModelCard

HEADINGS = ("weights", "installed", "available", "licence")


def weights_rows() -> Iterator[Sequence[str]]:
    """Yield one row for every set of weights: its name, where it is installed, how it can be had, and its licence."""
    from bedside.weights.catalogue import sources_of, weights_stem
    from bedside.weights.models import model_cards

    for card in model_cards():
        known = [v for v in card.variants if card.variants.index(v) == 0 or sources_of(card.name, v)]
        for variant in known or [""]:
            found = sources_of(card.name, variant)
            stem = weights_stem(card.name, variant)
            yield stem, _installed(stem), _to_be_had(card, stem, found), found[0].licence if found else card.licence


def _installed(stem: str) -> str:
    from bedside.weights.store import BUNDLED, installed_weights

    files = installed_weights(stem)
    if files is None:
        return "no"
    return "bundled" if files.graph.parent == BUNDLED else str(files.graph.parent)


def _to_be_had(card: ModelCard, stem: str, found: Sequence[Source]) -> str:
    from bedside.weights.store import bundled_names

    if stem in bundled_names():
        return "with the package"
    if found and found[0].url:
        return "bedside weights pull"
    page = found[0].page if found else card.source
    return f"by hand from {page}" if "/" in page else "not published"


@contextmanager
def download_bar(console: Console, title: str) -> Iterator[Callable[[int, int | None], None]]:
    """Yield a bar of bytes, or nothing at all where ``console`` is no terminal."""
    if not console.is_terminal:
        yield _silent
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda have, total: progress.update(task, completed=have, total=total)


def _silent(have: int, total: int | None) -> None:
    del have, total

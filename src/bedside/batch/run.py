"""A whole run: plan, leave out what is done, make the rest, report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from bedside.batch.manifest import read_manifest
from bedside.batch.plan import Item, plan
from bedside.batch.pool import Pool, usual_workers
from bedside.batch.ray_pool import RayPool
from bedside.batch.record import Made, Settings, fingerprint, made_before
from bedside.batch.report import Report
from bedside.batch.worker import Failed, Order
from bedside.core.disk import told
from bedside.core.errors import BedsideError, InputError
from bedside.core.prompts import Frame
from bedside.weights.licence import TERMS, licence_notice
from bedside.weights.models import model_card
from bedside.weights.store import find_weights, installed_weights

BatchEngine = Literal["pool", "ray"]


def run_batch(
    manifest: Path,
    folder: Path,
    settings: Settings,
    *,
    workers: int | None = None,
    threads: int | None = None,
    frame: Frame = "index",
    from_masks: bool = False,
    suffix: str | None = None,
    again: bool = False,
    engine: BatchEngine = "pool",
    address: str | None = None,
    note: Callable[[str], None] = lambda _: None,
    progress: Callable[[Report, int], None] = lambda _, __: None,
) -> Report:
    """Make the masks of a manifest that are not there yet, or not of what it says now.

    The report is saved beside the masks, also where the run is interrupted.

    Args:
        manifest: The table, see ``manifest.read_manifest``.
        folder: Where masks, records and report go; made where it is missing.
        settings: How masks are made.
        workers: Processes; by default one a core, as far as memory reaches.
        threads: Threads of each; by default the cores, divided.
        frame: What coordinates mean where a row does not say.
        from_masks: Whether the column ``mask`` gives prompts.
        suffix: Of masks whose rows name none.
        again: Whether every mask is made, whatever is there and whoever made it.
        engine: What runs the workers: processes of this machine, or Ray.
        address: Of a running Ray cluster; None begins one on this machine.
        note: Takes lines for the user.
        progress: Takes the report so far and how many masks there are, whenever one is done.

    Raises:
        BedsideError: The manifest cannot be read, the folder cannot be written to, or no process can be kept alive.
    """
    if settings.model is not None:
        model_card(settings.model)
        find_weights(settings.model)
    table = read_manifest(manifest, frame=frame, from_masks=from_masks)
    if table.unused:
        note(f"columns that mean nothing here: {', '.join(table.unused)}")
    place = Path(os.path.realpath(folder))
    with told(folder):
        place.mkdir(parents=True, exist_ok=True)
    items, failures = plan(table, place, manifest.parent, suffix)
    report = Report(place, manifest.parent)
    report.reject(failures)
    seen: set[str] = set()
    waiting = {item.output: item for item in items}

    def tell(item: Item, answer: Made | Failed, *, kept: bool = False) -> None:
        del waiting[item.output]
        report.add(item, answer, kept=kept)
        progress(report, len(items))

    progress(report, len(items))
    pool = _workers(engine, workers, len(items), settings, threads, address)
    try:
        # What is done is found while the first masks are made: of many it takes a while.
        for order, answer in pool.run(_undone(items, settings, tell, manifest.parent, again=again)):
            if isinstance(answer, Made) and answer.model not in seen:
                seen.add(answer.model)
                _tell_licence(answer.model, note)
            tell(order.item, answer)
    finally:
        pool.close()
        report.wait(waiting.values())
        report.save()
    return report


def _workers(
    engine: BatchEngine, workers: int | None, items: int, settings: Settings, threads: int | None, address: str | None
) -> Pool | RayPool:
    if engine == "ray":
        # More workers than masks would wait for nothing.
        most = items if workers is None else min(workers, items)
        return RayPool(workers and max(1, most), settings, threads, address)
    if address is not None:
        raise InputError("--address", expected="--engine ray beside it", got="the pool of this machine")
    return Pool(workers or usual_workers(items), settings, threads)


def _tell_licence(model: str, note: Callable[[str], None]) -> None:
    weights = installed_weights(model)
    if weights is not None and weights.card.licence in TERMS:
        note(licence_notice(model, weights.card.licence))


def _undone(
    items: list[Item], settings: Settings, tell: Callable[..., None], home: Path, *, again: bool
) -> Iterator[Order]:
    """Yield what is to be made; ``tell`` takes what is done or must not be replaced."""
    for item in items:
        try:
            mark = fingerprint(item, settings, home)
            made = None if again else made_before(item, mark)
        except BedsideError as error:
            tell(item, Failed(str(error)))
        except OSError as error:
            tell(item, Failed(f"{error.filename}: {error.strerror}"))
        else:
            if made is None:
                yield Order(item, mark)
            else:
                tell(item, made, kept=True)

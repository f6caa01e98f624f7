"""One process of the pool: it loads a model once and makes one mask after another.

Images are read and masks are written here; what travels between processes is which mask to make and what was found.
"""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from bedside.batch.plan import Item
from bedside.batch.record import Made, Settings
from bedside.core.cache import LruCache
from bedside.core.errors import BedsideError

if TYPE_CHECKING:
    from bedside.engines.protocol import Segmenter

BEGUN = "begun"
"""What a worker says first: what ends it from then on is the mask that it is at."""
MODELS = 2
"""Models that a worker keeps: one for images and one for volumes."""


@dataclass(frozen=True)
class Order:
    """A mask to make.

    Attributes:
        item: The mask.
        mark: Its fingerprint.
    """

    item: Item
    mark: str


@dataclass(frozen=True)
class Failed:
    """A mask that could not be made.

    Attributes:
        message: Why, in one line.
        row: Number of the row that is to blame; None where it is the image or the mask.
        seconds: What it took.
    """

    message: str
    row: int | None = None
    seconds: float | None = None


def work(orders: Connection, settings: Settings) -> None:
    """Make masks until there is nothing more to make or whoever asks is gone.

    Args:
        orders: Gives an ``Order`` or None for the end, and takes ``BEGUN``, then ``Made`` or ``Failed`` for each.
        settings: How masks are made.
    """
    # Ctrl+C reaches every process of the terminal: the one that asks decides what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    maker = Maker(settings)
    with suppress(EOFError, OSError):
        orders.send(maker.begin())
        while (order := orders.recv()) is not None:
            orders.send(maker.answer(order))


class Maker:
    """Makes masks by models that stay loaded.

    Args:
        settings: How masks are made.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._models: LruCache[str, Segmenter] = LruCache(MODELS)

    def begin(self) -> str:
        """Say that this worker works."""
        return BEGUN

    def answer(self, order: Order) -> Made | Failed:
        """Make a mask; nothing is raised."""
        began = time.perf_counter()
        answer = self._try(order)
        if isinstance(answer, Failed):
            return replace(answer, seconds=round(time.perf_counter() - began, 4))
        return answer

    def _try(self, order: Order) -> Made | Failed:
        from bedside.batch.making import RowError, make

        try:
            return make(order.item, order.mark, self._settings, self._load)
        except RowError as error:
            return Failed(str(error), error.number)
        except BedsideError as error:
            return Failed(str(error))
        except MemoryError:
            return Failed("not enough memory: take fewer --workers")
        except Exception as error:
            # One image that breaks a library is not to cost the others their masks.
            return Failed(" ".join(f"{type(error).__name__}: {error}".split())[:500])

    def _load(self, name: str) -> Segmenter:
        from bedside.engines import load_segmenter

        found = self._models.get(name)
        if found is None:
            found = load_segmenter(name, device=self._settings.device)
            self._models.put(name, found)
        return found

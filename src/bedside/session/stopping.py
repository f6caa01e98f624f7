"""Ending a session's answer before it is made: by ``cancel`` from another thread, or by a limit of time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bedside.core.errors import StoppedError
from bedside.core.stopping import Stop, check_stop, stoppable


class Stopping:
    """What may end an answer; a part of ``Session``.

    Attributes:
        time_limit: Seconds that an answer may take, looked at between passes of the network; None for any.
    """

    time_limit: float | None = None
    _under_way: Stop | None = None

    @property
    def progress(self) -> tuple[int, int] | None:
        """Predictions made and predictions in all of the call under way, seen from another thread.

        A prompt that is removed, or put back, is followed by those after it, each predicted again; None where no such
        call is under way.
        """
        stop = self._under_way
        return None if stop is None else stop.progress

    def cancel(self) -> bool:
        """End the answer under way, from another thread; the call that waits for it raises ``StoppedError``.

        The network is stopped between two passes; an answer whose last pass ends after this is dropped. The session
        stays as it was before that call.

        Returns:
            Whether an answer was under way and is ended by this: False also where its change was taken already.

        Example:
            >>> threading.Timer(30, session.cancel).start()
            >>> session.add_point((40, 52))
        """
        stop = self._under_way
        return stop is not None and stop.ask()

    @contextmanager
    def _may_stop(self) -> Iterator[None]:
        stop = Stop(self.time_limit)
        self._under_way = stop
        try:
            with stoppable(stop):
                yield
                # Looked at after the last pass, too, so that whoever was told that the answer ends has ended it.
                check_stop()
                if not stop.close():
                    raise StoppedError
        finally:
            self._under_way = None

"""What is counted of clients' requests, for Prometheus and for the log, and what all of them may hold at a time.

Nothing of it tells of a patient: paths are those of the protocol, with ``*`` for what stands for an image or a session,
and errors are told by their kind.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bedside.core.errors import BedsideError
from bedside.serve.allowance import Allowance, Kind
from bedside.serve.security import App, Door, Receive, Scope, Send

if TYPE_CHECKING:
    from bedside.serve.service import Service

METRICS = "/metrics"
"""Path of the counts, in the text format of Prometheus."""
_EDGES = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_HELD = 2**30

PEER: ContextVar[str] = ContextVar("bedside_peer", default="")
"""Address of the machine whose request is answered."""

log = logging.getLogger("bedside.serve.requests")


def _resident() -> float:
    """Return bytes of memory that the process takes; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError, AttributeError):
        return 0.0


class BusyError(BedsideError):
    """All that clients may send at a time is on its way."""

    def __init__(self, most: int) -> None:
        super().__init__(
            "uploads",
            expected=f"at most {most / 2**20:.0f} MiB of all clients at a time",
            got="more",
            fix="try again when others have finished",
        )


class SlowError(BedsideError):
    """A body took too long to come."""

    def __init__(self, most: float) -> None:
        super().__init__("request", expected=f"a body that comes within {most:.0f} s", got="a slower one")


class Allowances:
    """What each client may take, told by the address that its requests come from.

    Args:
        most: In a minute, by kind; a kind that is not there has no limit.
        taken: Where what all of them take is counted.
    """

    def __init__(self, most: Mapping[Kind, int], taken: Counter[Kind]) -> None:
        self._most, self._taken = most, taken
        self._known: dict[str, Allowance] = {}

    def of_peer(self) -> Allowance:
        """Return that of the client whose request is answered."""
        peer = PEER.get()
        if peer not in self._known:
            self._known = {name: one for name, one in self._known.items() if not one.idle}
            self._known[peer] = Allowance(self._most, self._taken)
        return self._known[peer]


class Metering:
    """Counts what goes through it. Lives in the event loop's thread.

    Args:
        held: Bytes of bodies that all clients together may have sent of requests under way.
        patience: Seconds that a body may take to come.

    Attributes:
        taken: What clients of each protocol took, see ``Allowance``.
        gauges: What else is told, by its name: what it is, and a function that returns it.
        leases: How many leases of each protocol are in force.
    """

    def __init__(self, held: int = 4 * _HELD, patience: float = 300.0) -> None:
        self._most, self._patience = held, patience
        self._holding = 0
        self._answers: Counter[tuple[str, int]] = Counter()
        self._seconds: dict[str, list[float]] = {}
        self._received: Counter[str] = Counter()
        self._sent: Counter[str] = Counter()
        self.taken: dict[str, Counter[Kind]] = {}
        self.gauges: dict[str, tuple[str, Callable[[], float]]] = {
            "bedside_uploads_bytes": ("Bytes of bodies of requests under way.", lambda: self._holding)
        }
        self.leases: dict[str, Callable[[], int]] = {}

    def watch(self, service: Service) -> None:
        """Tell from now on what a service holds, and what the process takes."""
        self.gauges |= {
            "bedside_images_open": ("Images in memory.", lambda: len(service.hub.images)),
            "bedside_images_open_bytes": ("Bytes of them.", lambda: sum(one.nbytes for one in service.hub.images)),
            "bedside_jobs": ("Changes that wait or are made.", lambda: sum(one.pending for one in service.hub.images)),
            "process_resident_memory_bytes": ("Memory of the process.", _resident),
        }

    async def answer(self, app: App, scope: Scope, receive: Receive, send: Send, door: Door, path: str) -> None:
        """Have a request answered, and count it.

        Args:
            app: Answers it.
            scope: Of the request.
            receive: Gives its body.
            send: Takes the answer.
            door: Where it came in.
            path: The door's own path.
        """
        PEER.set(str((scope.get("client") or ("",))[0]))
        began = time.perf_counter()
        came = gone = status = 0
        ended = False

        async def take() -> MutableMapping[str, Any]:
            nonlocal came, ended
            if ended:
                return await receive()
            try:
                async with asyncio.timeout(max(0.0, began + self._patience - time.perf_counter())):
                    message = await receive()
            except TimeoutError as error:
                raise SlowError(self._patience) from error
            size = len(message.get("body", b""))
            came += size
            self._holding += size
            ended = not message.get("more_body", False)
            if self._holding > self._most:
                raise BusyError(self._most)
            return message

        async def give(message: MutableMapping[str, Any]) -> None:
            nonlocal gone, status
            status = message.get("status", status)
            gone += len(message.get("body", b""))
            await send(message)

        try:
            await app(scope, take, give)
        finally:
            self._holding -= came
            seconds = time.perf_counter() - began
            name = door.protocol
            self._answers[name, status or 500] += 1
            self._observe(name, seconds)
            self._received[name] += came
            self._sent[name] += gone
            log.info(
                "request",
                extra={
                    "protocol": name,
                    "method": scope["method"],
                    "path": path,
                    "status": status or 500,
                    "seconds": round(seconds, 4),
                    "received": came,
                    "sent": gone,
                },
            )

    def _observe(self, name: str, seconds: float) -> None:
        counts = self._seconds.setdefault(name, [0.0] * (len(_EDGES) + 2))
        for place, edge in enumerate(_EDGES):
            counts[place] += seconds <= edge
        counts[-2] += 1
        counts[-1] += seconds

    def text(self) -> str:
        """Return all counts in the text format of Prometheus."""
        lines: list[str] = []

        def told(name: str, kind: str, about: str, values: Mapping[str, float]) -> None:
            lines.extend([f"# HELP {name} {about}", f"# TYPE {name} {kind}"])
            lines.extend(f"{name}{labels} {value:.10g}" for labels, value in sorted(values.items()))

        answers = {f'{{protocol="{name}",status="{code}"}}': n for (name, code), n in self._answers.items()}
        told("bedside_requests_total", "counter", "Requests of clients that were answered.", answers)
        about = "Seconds from a request to the end of its answer."
        lines.extend([f"# HELP bedside_request_seconds {about}", "# TYPE bedside_request_seconds histogram"])
        for name, counts in sorted(self._seconds.items()):
            for edge, count in zip((*_EDGES, "+Inf"), counts, strict=False):
                lines.append(f'bedside_request_seconds_bucket{{protocol="{name}",le="{edge}"}} {count:.0f}')
            lines.append(f'bedside_request_seconds_sum{{protocol="{name}"}} {counts[-1]:.6f}')
            lines.append(f'bedside_request_seconds_count{{protocol="{name}"}} {counts[-2]:.0f}')
        by_name: tuple[tuple[str, str, Mapping[str, int]], ...] = (
            ("received", "Bytes of bodies that clients sent.", self._received),
            ("sent", "Bytes of bodies that clients were sent.", self._sent),
        )
        for what, about, counted in by_name:
            values = {f'{{protocol="{name}"}}': float(n) for name, n in counted.items()}
            told(f"bedside_{what}_bytes_total", "counter", about, values)
        kinds: dict[Kind, tuple[str, str]] = {
            "prompts": ("bedside_prompts_total", "Prompts that clients gave."),
            "images": ("bedside_images_total", "Images that clients sent."),
            "bytes": ("bedside_image_bytes_total", "Bytes of the samples of these images."),
        }
        for kind, (title, about) in kinds.items():
            values = {f'{{protocol="{name}"}}': float(n[kind]) for name, n in self.taken.items()}
            told(title, "counter", about, values)
        in_force = {f'{{protocol="{name}"}}': float(count()) for name, count in self.leases.items()}
        told("bedside_leases", "gauge", "Leases in force.", in_force)
        for name, (about, value) in sorted(self.gauges.items()):
            told(name, "gauge", about, {"": float(value())})
        return "\n".join(lines) + "\n"

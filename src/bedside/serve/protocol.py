"""What a protocol of other programs is to the server, and the registry that finds them: one protocol is one module."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bedside.core.errors import (
    BackendError,
    BedsideError,
    DependencyError,
    InputError,
    StoppedError,
    StorageError,
    TimeLimitError,
    WeightsError,
)
from bedside.core.registry import Registry
from bedside.serve.allowance import Allowance, Kind, QuotaError
from bedside.serve.errors import OtherSiteError, TokenError, TooLargeError, problem_fields
from bedside.serve.leases import CapacityError, LeaseError, Leases
from bedside.serve.metering import BusyError, SlowError
from bedside.serve.security import Door

if TYPE_CHECKING:
    from fastapi import APIRouter

    from bedside.serve.clients import Client
    from bedside.serve.service import Service

Problem = tuple[int, Mapping[str, Any]]
"""HTTP status and JSON body of a rejection."""


@dataclass(frozen=True)
class Limits:
    """What clients may take.

    Attributes:
        sessions: Leases of one protocol at a time.
        idle: Seconds without a prompt, or anything else that a user does, after which a lease ends.
        alive: Seconds without any request after which a lease ends.
        image: Bytes of an image's samples.
        quota: What one client, told by its address, may take in a minute; a kind that is not there has no limit.
        held: Bytes of bodies that all clients together may have sent of requests under way.
        patience: Seconds that a body may take to come.
    """

    sessions: int = 8
    idle: float = 600.0
    alive: float = 60.0
    image: int = 2**30
    quota: Mapping[Kind, int] = field(default_factory=dict)
    held: int = 4 * 2**30
    patience: float = 300.0

    @property
    def body(self) -> int:
        """Bytes of a request: an image that could not be compressed, and what is said of it."""
        return self.image + 2**20


@dataclass(frozen=True)
class Desk:
    """What a protocol works with.

    Attributes:
        service: The sessions, which all protocols and the page share.
        leases: Who works with it.
        limits: What each may take.
        admits: Returns whether a text is the token of this start; None where clients need none.
        allowance: Returns what the client whose request is answered may take; leases hold theirs.
    """

    service: Service
    leases: Leases[Client]
    limits: Limits
    admits: Callable[[str], bool] | None = None
    allowance: Callable[[], Allowance] = Allowance


@dataclass(frozen=True)
class Protocol:
    """A protocol: an adapter over the service that keeps nothing beyond its leases.

    Attributes:
        title: Its name for people.
        paths: The paths that it answers; no two protocols share one. One that ends with ``/*`` takes any last part.
        routes: Returns its routes.
        problem: Returns the answer that an error becomes, in the protocol's own form.
        beats: Whether its clients say from time to time that they are there, so that one that does not has gone.
        open: Those of its paths that are asked for without a token, because clients learn there how to send it.
        places: Leases for each client that may work at a time, where clients begin one after the other and end none.
    """

    title: str
    paths: tuple[str, ...]
    routes: Callable[[Desk], APIRouter]
    problem: Callable[[Exception], Problem]
    beats: bool = True
    open: tuple[str, ...] = ()
    places: int = 1


PROTOCOLS: Registry[Protocol] = Registry("protocol", "bedside.serve.protocols", Protocol)


def doors(limits: Limits, token_needed: bool) -> dict[str, Door]:
    """Return what each protocol's path needs of those who ask.

    Raises:
        InputError: Two protocols share a path.
    """
    found: dict[str, Door] = {}
    for name, protocol in PROTOCOLS.items():
        for path in protocol.paths:
            if path in found:
                raise InputError(f"protocol '{name}'", expected="paths of its own", got=path)
            found[path] = Door(name, token_needed and path not in protocol.open, limits.body, protocol.problem)
    return found


def in_field(name: str) -> Callable[[Exception], Problem]:
    """Return a form of errors: one line under a name, such as the ``detail`` that FastAPI gave to many servers.

    A lease that ended is 410; 503 says that all leases are taken and nothing else, because clients wait for one then.
    """

    def told(error: Exception) -> Problem:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
        return status, {name: problem_fields(error)["message"]}

    return told


_STATUS: tuple[tuple[type[BedsideError], int], ...] = (
    (LeaseError, 410),
    (CapacityError, 503),
    (TokenError, 401),
    (OtherSiteError, 403),
    (TooLargeError, 413),
    (SlowError, 408),
    (QuotaError, 429),
    (BusyError, 429),
    (TimeLimitError, 504),
    (StoppedError, 409),
    (StorageError, 507),
    (WeightsError, 500),
    (BackendError, 500),
    (DependencyError, 500),
    (BedsideError, 400),
)

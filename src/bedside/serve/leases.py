"""Leases: who works with the server at the moment, by a secret of each, and until when."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from bedside.core.errors import BedsideError

T = TypeVar("T")


class LeaseError(BedsideError):
    """There is no such lease, or no longer."""

    def __init__(self, got: str) -> None:
        super().__init__(
            "lease", expected="one that is in force", got=got, fix="connect again; the work so far is in the workspace"
        )


class CapacityError(BedsideError):
    """All leases are taken."""

    def __init__(self, most: int) -> None:
        super().__init__(
            "no place free", expected=f"at most {most} clients", got="one more", fix="wait until one has gone"
        )


@dataclass
class Lease(Generic[T]):
    """A client's place.

    Attributes:
        token: Its secret.
        holds: What it works with.
        seen: When it last asked for anything.
        active: When its user last did anything.
        busy: Requests under way: it does not end while there are any.
    """

    token: str
    holds: T
    seen: float
    active: float
    busy: int = 0


class Leases(Generic[T]):
    """The leases of one protocol. Lives in the event loop's thread.

    Args:
        make: Makes what a lease holds.
        most: Leases at a time.
        idle: Seconds without anything that a user does after which a lease ends.
        alive: Seconds without any request after which a lease ends.
        clock: Seconds that only go on.
    """

    def __init__(
        self,
        make: Callable[[], T],
        most: int,
        idle: float,
        alive: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make, self.most, self.idle, self.alive, self._clock = make, most, idle, alive, clock
        self._leases: dict[str, Lease[T]] = {}

    def __len__(self) -> int:
        """Return how many are in force."""
        self._sweep()
        return len(self._leases)

    def claim(self) -> Lease[T]:
        """Give out a lease.

        Raises:
            CapacityError: All are taken.
        """
        if len(self) >= self.most:
            raise CapacityError(self.most)
        now = self._clock()
        lease = Lease(secrets.token_hex(16), self._make(), now, now)
        self._leases[lease.token] = lease
        return lease

    def peek(self, token: str | None) -> Lease[T]:
        """Return a lease without a sign of life.

        Raises:
            LeaseError: It is not in force.
        """
        self._sweep()
        if token is None:
            raise LeaseError("none")
        if token not in self._leases:
            raise LeaseError("one that ended, or never was")
        return self._leases[token]

    def get(self, token: str | None, active: bool = True) -> Lease[T]:
        """Return a lease, whose client has shown that it is there.

        Args:
            token: Its secret.
            active: Whether its user did something.

        Raises:
            LeaseError: It is not in force.
        """
        lease = self.peek(token)
        lease.seen = self._clock()
        if active:
            lease.active = lease.seen
        return lease

    def release(self, token: str | None) -> bool:
        """End a lease; returns whether it was in force."""
        return token is not None and self._leases.pop(token, None) is not None

    def remaining(self, lease: Lease[T]) -> float:
        """Return seconds until a lease ends if its user does nothing."""
        return max(0.0, self.idle - (self._clock() - lease.active))

    def _sweep(self) -> None:
        now = self._clock()
        for lease in list(self._leases.values()):
            if not lease.busy and (now - lease.seen > self.alive or now - lease.active > self.idle):
                del self._leases[lease.token]

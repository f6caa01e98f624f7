"""What a client may take in a minute, and what all together have taken."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Literal

from bedside.core.errors import BedsideError

Kind = Literal["prompts", "images", "bytes"]
KINDS: tuple[Kind, ...] = ("prompts", "images", "bytes")
MINUTE = 60.0


class QuotaError(BedsideError):
    """More than a client may take in a minute."""

    def __init__(self, kind: Kind, most: int, wait: float) -> None:
        super().__init__(
            f"{kind} of this client", expected=f"at most {most} a minute", got="more", fix=f"wait {wait:.0f} s"
        )


class Allowance:
    """What one client takes. Lives in the event loop's thread.

    Args:
        most: What it may take in a minute, by kind; a kind that is not there has no limit.
        taken: Where what all clients of its protocol take is counted.
        clock: Seconds that only go on.
    """

    def __init__(
        self,
        most: Mapping[Kind, int] | None = None,
        taken: Counter[Kind] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._clock = most or {}, clock
        self._all: Counter[Kind] = Counter() if taken is None else taken
        self._lately: dict[Kind, deque[tuple[float, int]]] = {kind: deque() for kind in self._most}

    def take(self, **amounts: int) -> None:
        """Take some of each kind, or nothing where there is too little left of one.

        Raises:
            QuotaError: There is too little left.
        """
        self.check(**amounts)
        now = self._clock()
        for kind in KINDS:
            if kind in amounts:
                self._all[kind] += amounts[kind]
                if kind in self._lately:
                    self._lately[kind].append((now, amounts[kind]))

    def check(self, **amounts: int) -> None:
        """Make sure that so much of each kind is left, and take nothing.

        Raises:
            QuotaError: There is too little left of one.
        """
        now = self._clock()
        asked = {kind: amounts[kind] for kind in KINDS if kind in amounts}
        for kind, amount in asked.items():
            lately = self._lately.get(kind)
            if lately is None:
                continue
            while lately and now - lately[0][0] >= MINUTE:
                lately.popleft()
            # What is larger than the whole of a minute's share would have to wait for ever: it may come first.
            if lately and sum(n for _, n in lately) + amount > self._most[kind]:
                raise QuotaError(kind, self._most[kind], MINUTE - (now - lately[0][0]))

    @property
    def idle(self) -> bool:
        """Whether nothing was taken in the last minute, so that nothing has to be remembered."""
        now = self._clock()
        return all(not lately or now - lately[-1][0] >= MINUTE for lately in self._lately.values())

"""Which shards of a store training samples are drawn from: a function of the seed and the sample's number alone.

Of each set a few shards are open at a time. Every so many samples the oldest is closed and the next is opened, in an
order that is shuffled again each time round. So samples are shuffled by shard, and within the open shards freely, and
whoever asks, at whatever number, with however many processes, is told the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from bedside.core.errors import InputError
from bedside.data.objects import stable_generator
from bedside.data.store_manifest import Shard


@dataclass(frozen=True)
class SetSchedule:
    """The open shards of one set.

    Attributes:
        name: Name of the set.
        shards: All of its shards, sorted by name.
        open: How many are open at a time.
        period: Samples of the run after which the oldest is closed; 0 where all stay open.
    """

    name: str
    shards: tuple[Shard, ...]
    open: int
    period: int

    def position(self, number: int) -> int:
        """Return how many shards have been closed before sample ``number``."""
        return number // self.period if self.period else 0

    def open_at(self, position: int, seed: int) -> list[Shard]:
        """Return the open shards when ``position`` shards have been closed, sorted by name."""
        if not self.period:
            return list(self.shards)
        chosen = {self._in_turn(place, seed).name: self._in_turn(place, seed) for place in self._places(position)}
        return [chosen[name] for name in sorted(chosen)]

    def _places(self, position: int) -> range:
        return range(position, position + self.open)

    def _in_turn(self, place: int, seed: int) -> Shard:
        turn, within = divmod(place, len(self.shards))
        order = stable_generator("order of shards", seed, self.name, turn).permutation(len(self.shards))
        return self.shards[int(order[within])]


def plan_schedule(shards: Sequence[Shard], buffer_bytes: float, reuse: float) -> list[SetSchedule]:
    """Divide a buffer among sets, equally but for those that need less, because each set is drawn equally often.

    Args:
        shards: Of all sets.
        buffer_bytes: What may lie unpacked: the open shards, and of each set that has more the one that comes next.
        reuse: How often a case is drawn while its shard is open, on average.

    Raises:
        InputError: The buffer does not hold two shards of each set.
    """
    by_set: dict[str, list[Shard]] = {}
    for shard in sorted(shards, key=lambda s: s.name):
        if shard.cases:
            by_set.setdefault(shard.set_name, []).append(shard)
    least = sum(min(sum(s.unpacked for s in own), 2 * max(s.unpacked for s in own)) for own in by_set.values())
    if least > buffer_bytes:
        raise InputError(
            "stream_gb",
            expected=f"at least {math.ceil(least / 1e8) / 10:g}, two shards of each of {len(by_set)} sets",
            got=f"{buffer_bytes / 1e9:g}",
            fix="or prepare the store with a smaller --shard-mb",
        )
    # Each set gets its least; of what is left the smallest are served first.
    rest, schedules = buffer_bytes - least, []
    for done, (name, own) in enumerate(sorted(by_set.items(), key=lambda entry: _size(entry[1]))):
        largest, size = max(s.unpacked for s in own), _size(own)
        need = min(size, 2 * largest)
        held = min(float(size), need + rest / (len(by_set) - done))
        rest -= held - need
        whole = held >= size
        count = len(own) if whole else max(1, int(held // largest) - 1)
        cases = sum(s.cases for s in own) / len(own)
        period = 0 if whole or count >= len(own) else max(1, round(reuse * cases * len(by_set)))
        schedules.append(SetSchedule(name, tuple(own), count, period))
    return sorted(schedules, key=lambda s: s.name)


def _size(shards: Sequence[Shard]) -> int:
    return sum(s.unpacked for s in shards)

"""Training from a sharded store that is larger than what may lie unpacked, in a folder or in object storage.

Shards that samples are drawn from are fetched, checked and unpacked into files that are mapped into memory, as a packed
store is; those of later samples are unpacked meanwhile, and those of earlier ones removed. The files are shared by all
processes of a machine.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bedside.core.addresses import Address, read_file
from bedside.core.errors import FormatError, InputError
from bedside.core.files import atomic_path
from bedside.data.schedule import SetSchedule, plan_schedule
from bedside.data.store import Item, Store, read_part, read_part_bytes, write_part
from bedside.data.store_manifest import Shard, StoredSet, StoreManifest

PREFIX = "part-"
"""What the names of unpacked shards begin with, so that a folder of them is a packed store."""
OPENING_TRIES = 3
"""How often a shard is unpacked again that others removed meanwhile."""


@dataclass(frozen=True)
class Streaming:
    """How much is unpacked at a time, and in which order.

    Attributes:
        buffer_bytes: What may lie unpacked.
        reuse: How often a case is drawn while its shard is open, on average.
        seed: Of the order of shards.
    """

    buffer_bytes: float
    reuse: float
    seed: int


class StreamedStore(Store):
    """A sharded store of which a part is unpacked at a time; which, says the number of the sample.

    Args:
        address: Of the sharded store.
        manifest: Of that store.
        folder: Where shards are unpacked.
        settings: How much at a time.

    Raises:
        InputError: The buffer is too small.
    """

    def __init__(self, address: Address, manifest: StoreManifest, folder: Path, settings: Streaming) -> None:
        self._address, self._manifest, self._folder, self._settings = address, manifest, folder, settings
        self._schedules = plan_schedule(manifest.shards, settings.buffer_bytes, settings.reuse)
        self.sha256 = manifest.sha256
        self._opened: dict[str, list[Item]] = {}
        self._view: Store | None = None
        self._positions: tuple[int, ...] = ()
        self._ahead: tuple[int, Future[None]] | None = None

    @property
    def sets(self) -> Sequence[StoredSet]:
        """What the store holds of each dataset, those that are held out among them."""
        return self._manifest.sets

    @property
    def items(self) -> Sequence[Item]:  # type: ignore[override]
        """Not there: what reads all of a store cannot be streamed to.

        Raises:
            InputError: Always.
        """
        needed = sum(shard.unpacked for shard in self._manifest.shards) / 1e9
        raise InputError(
            "this training reads the whole store at once",
            expected=f"a stream_gb of {needed:.1f} or more, which is what the store takes unpacked",
            got=f"{self._settings.buffer_bytes / 1e9:g}",
        )

    def at(self, number: int) -> Store:
        """Return the items that training sample ``number`` is drawn from."""
        positions = self._positions_at(number)
        if self._view is None or positions != self._positions:
            shards = _open_shards(self._schedules, positions, self._settings.seed)
            coming = self._coming(number, positions)
            keep = [*shards, *coming]
            before, self._opened, self._view = self._opened, {}, None
            self._opened = {shard.name: before.get(shard.name) or self._open(shard, keep) for shard in shards}
            self._view = Store.of([item for shard in shards for item in self._opened[shard.name]], self.sha256)
            self._positions = positions
            self._unpack_ahead(coming, keep)
        return self._view

    def divide(self, held_out: Collection[str]) -> tuple[Store, Store]:
        """Return the store without the sets called ``held_out``, and those alone, unpacked in whole."""
        held = [s for s in self._manifest.shards if s.set_name in held_out and s.cases]
        if not held:
            return self, Store.of([], self.sha256)
        kept = replace(self._manifest, shards=tuple(s for s in self._manifest.shards if s.set_name not in held_out))
        folder = self._folder / "held-out"
        items = [item for shard in held for item in read_part(unpack(self._address, shard, folder), check=False)]
        rest = StreamedStore(self._address, kept, self._folder, self._settings)
        rest.sha256 = self.sha256
        return rest, Store.of(items, self.sha256)

    def _positions_at(self, number: int) -> tuple[int, ...]:
        return tuple(schedule.position(number) for schedule in self._schedules)

    def _coming(self, number: int, positions: tuple[int, ...]) -> list[Shard]:
        """Return the shards that the next of the sets to move on will open."""
        periods = [s.period for s in self._schedules if s.period]
        if not periods:
            return []
        following = min((position + 1) * s.period for position, s in zip(positions, self._schedules, strict=True)
                        if s.period)  # fmt: skip
        later = self._positions_at(max(following, number + 1))
        now = {s.name for s in _open_shards(self._schedules, positions, self._settings.seed)}
        return [s for s in _open_shards(self._schedules, later, self._settings.seed) if s.name not in now]

    def _open(self, shard: Shard, keep: Collection[Shard]) -> list[Item]:
        for _ in range(OPENING_TRIES):
            self._unpack(shard, keep)
            # Another process may have removed it to make room, before it is mapped.
            with contextlib.suppress(FileNotFoundError):
                return read_part(unpacked_path(self._folder, shard), check=False)
        # Others need the room for theirs, again and again: this one is kept in memory.
        return list(_packed_items(self._address, shard))

    def _unpack_ahead(self, coming: Sequence[Shard], keep: Collection[Shard]) -> None:
        """Unpack what comes next in a thread of this process; a loader's workers are made by fork, which has none."""
        if not coming:
            return
        if self._ahead is not None and self._ahead[0] == os.getpid() and not self._ahead[1].done():
            return
        pool = ThreadPoolExecutor(1, thread_name_prefix="unpacking")
        self._ahead = (os.getpid(), pool.submit(self._unpack_all, coming, keep))
        pool.shutdown(wait=False)

    def _unpack_all(self, shards: Sequence[Shard], keep: Collection[Shard]) -> None:
        # What cannot be read is told when it is needed.
        with contextlib.suppress(FormatError):
            for shard in shards:
                self._unpack(shard, keep)

    def _unpack(self, shard: Shard, keep: Collection[Shard]) -> None:
        if not unpacked_path(self._folder, shard).exists():
            self._make_room(shard.unpacked, keep)
        unpack(self._address, shard, self._folder)

    def _make_room(self, wanted: int, keep: Collection[Shard]) -> None:
        """Remove shards that were used longest ago until the buffer has room; what is mapped stays readable."""
        needed = {unpacked_path(self._folder, shard) for shard in keep}
        found = []
        for path in self._folder.glob(f"{PREFIX}*.npz"):
            with contextlib.suppress(OSError):
                found.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        held = sum(size for _, size, _ in found) + wanted
        for _, size, path in sorted(found):
            if held <= self._settings.buffer_bytes:
                return
            if path not in needed:
                # Windows removes no file that is mapped; it goes when nobody has it open.
                with contextlib.suppress(OSError):
                    path.unlink()
                    held -= size

    def __getstate__(self) -> dict[str, object]:
        """Return what another process needs: it maps its own files."""
        return {**self.__dict__, "_opened": {}, "_view": None, "_positions": (), "_ahead": None}


def _open_shards(schedules: Sequence[SetSchedule], positions: Sequence[int], seed: int) -> list[Shard]:
    pairs = zip(schedules, positions, strict=True)
    return [shard for schedule, position in pairs for shard in schedule.open_at(position, seed)]


def unpacked_path(folder: Path, shard: Shard) -> Path:
    """Return where a shard is unpacked; one of other content has another name."""
    return folder / f"{PREFIX}{shard.name}-{shard.sha256[:8]}.npz"


def unpack(address: Address, shard: Shard, folder: Path) -> Path:
    """Fetch and check a shard and write its items so that they can be mapped, where that is not done yet.

    Several processes may ask at once: one unpacks it, and the others wait for it.

    Raises:
        FormatError: It cannot be read, or is not what the manifest says.
        StorageError: The disk is full.
    """
    target = unpacked_path(folder, shard)
    folder.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        with _locked(folder / f".{shard.name}.lock"):
            if not target.exists():
                items = _packed_items(address, shard)
                with atomic_path(target) as temporary:
                    write_part(temporary, items)
    with contextlib.suppress(OSError):
        os.utime(target)
    return target


def _packed_items(address: Address, shard: Shard) -> Iterable[Item]:
    """Return the items of a shard as it was packed, held against its checksum."""
    content = read_file(address, shard.file)
    if (found := hashlib.sha256(content).hexdigest()) != shard.sha256:
        wanted = f"sha256 {shard.sha256[:12]}..., as its manifest says"
        fix = "run the same 'bedside prepare store' again, which makes damaged shards again"
        raise FormatError(f"{address}/{shard.file}", expected=wanted, got=f"{found[:12]}...", fix=fix)
    return read_part_bytes(content, f"{address}/{shard.file}")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that other processes of the machine wait for; it ends with the process, however that ends."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
    try:
        # Some file systems have no locks: then a shard may be unpacked twice, to the same file.
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

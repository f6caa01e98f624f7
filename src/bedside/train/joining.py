"""Joining the processes that ``torchrun`` has started, and parting again, whatever happens between."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from bedside.core.errors import BedsideError, InputError, ToldError
from bedside.train.processes import Processes, acting_as, current_processes, loss_of_processes_told

PATIENCE = timedelta(days=1)
"""How long one waits for the others: process 0 may pack a store. One that ends is noticed at once, without it."""
MOMENT, LOOKS = 0.02, 25
"""Seconds between looks for the answer of a process, and looks after which it may be one of an earlier start."""
STARTS, FAILED = "bedside/starts", "bedside/failed"
"""Counters in the store that the processes share: of starts, and of processes that failed since the last."""


@contextmanager
def joined_processes(environment: Mapping[str, str] = os.environ) -> Iterator[Processes]:
    """Join the processes that ``environment`` tells of, for as long as the block lasts.

    Where one fails, all do, and the first that failed is to say why.

    Args:
        environment: As ``torchrun`` sets it: RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT. Without WORLD_SIZE this
            process is alone. Processes that the caller has joined stay so.

    Raises:
        InputError: The environment is incomplete.
        WorkerError: Another process ended before all had joined.
        ToldError: In place of the error of a process that was not the first to fail.
    """
    if dist.is_initialized():
        yield current_processes()
        return
    if int(environment.get("WORLD_SIZE", "1")) == 1:
        alone = Processes(repeated=_was_restarted(environment))
        with acting_as(alone):
            yield alone
        return
    with loss_of_processes_told():
        store, processes = _join(environment)
    try:
        with acting_as(processes):
            yield processes
    except (BedsideError, OSError, KeyboardInterrupt) as error:
        # The group is left as it is: with one process gone, parting from the others may take for ever.
        if _is_first(store):
            raise
        raise ToldError("another process of the training has said why it ended") from error
    dist.destroy_process_group()


def _join(environment: Mapping[str, str]) -> tuple[PrefixStore, Processes]:
    if missing := [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in environment]:
        raise InputError(
            "environment of several processes", expected=", ".join(missing), got="none", fix="start them by torchrun"
        )
    shared, rank, count = next(rendezvous("env://", timeout=PATIENCE))
    store = PrefixStore(name_of_start(shared, rank, count), shared)
    # NCCL is begun when the first tensor of a GPU is summed.
    gpu = torch.cuda.is_available() and dist.is_nccl_available()
    backend = "cpu:gloo,cuda:nccl" if gpu else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=PATIENCE)
    again = _was_restarted(environment) or (rank == 0 and shared.add(STARTS, 1) > 1)
    # Of several machines only that on which a process ended counts a restart.
    (repeated,) = Processes(rank, count).any(again)
    return store, Processes(rank, count, repeated)


def _was_restarted(environment: Mapping[str, str]) -> bool:
    return int(environment.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def name_of_start(store: Store, rank: int, count: int) -> str:
    """Return a name that all processes of this start have, and those of no other start.

    ``torchrun`` starts processes again with the same store, where those that have ended had left their addresses.

    Args:
        store: Store that the processes share.
        rank: Number of this process.
        count: How many there are.
    """
    if rank == 0:
        name = uuid.uuid4().hex
        for other in range(1, count):
            while not _heard(store, other, name):
                pass
        return name
    own = uuid.uuid4().hex
    store.set(f"bedside/here/{rank}", own)
    told: str = store.get(f"bedside/name/{own}").decode()
    store.set(f"bedside/heard/{told}/{own}", "")
    return told


def _heard(store: Store, other: int, name: str) -> bool:
    """Tell a process the name; False where it does not answer because it is one of an earlier start."""
    own = store.get(f"bedside/here/{other}").decode()
    store.set(f"bedside/name/{own}", name)
    for _ in range(LOOKS):
        if store.check([f"bedside/heard/{name}/{own}"]):
            return True
        time.sleep(MOMENT)
    return False


def _is_first(store: Store) -> bool:
    """Return whether no other process has failed so far; True where nobody can tell any more."""
    try:
        return int(store.add(FAILED, 1)) == 1
    except RuntimeError:
        return True

"""Ray actors make what the pool makes, each mask once, whatever ends."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bedside.batch.manifest import Row
from bedside.batch.plan import Item
from bedside.batch.ray_pool import MOST_TRIES, RayPool
from bedside.batch.record import Made, Settings
from bedside.batch.worker import Failed, Order
from bedside.io import read_mask
from bedside.session.flags import PromptFlags

ray = pytest.importorskip("ray", reason="the extra 'ray' is not installed")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
Cli = Callable[..., Any]
Table = Callable[..., Path]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let processes that Ray starts find this package, as an installed one would be found."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    yield
    ray.shutdown()


def orders(study: Path, out: Path, count: int) -> list[Order]:
    flags = PromptFlags(("24,14,56,48",))
    rows = [Row(n, study / f"p{n % 4}.png", flags, label=1) for n in range(count)]
    return [Order(Item(out / f"{row.number}.png", (row,)), "mark") for row in rows]


def pid_of(worker: Any) -> int:
    return int(ray.get(worker.__ray_call__.remote(lambda _: os.getpid())))


def test_a_worker_that_is_killed_costs_no_mask(study: Path, tmp_path: Path) -> None:
    tried = RayPool(2, Settings())
    made: list[int] = []
    killed = 0
    for order, answer in tried.run(orders(study, tmp_path, 24)):
        assert isinstance(answer, Made), answer
        made.append(order.item.numbers[0])
        if len(made) in (6, 12) and tried._free:
            os.kill(pid_of(tried._free[0]), signal.SIGKILL)
            killed += 1
    assert killed == 2
    assert sorted(made) == list(range(24))
    assert not ray.is_initialized()
    for n in range(4, 24):
        assert (tmp_path / f"{n}.png").read_bytes() == (tmp_path / f"{n % 4}.png").read_bytes()


def test_a_mask_that_ends_its_workers_fails_at_last(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = RayPool(1, Settings())
    give = tried._give
    costly: list[Any] = []

    def end_it(worker: Any, order: Order) -> None:
        if order.item.numbers[0] == 1:
            pid = pid_of(worker)
            os.kill(pid, signal.SIGSTOP)
            give(worker, order)
            os.kill(pid, signal.SIGKILL)
            costly.append(pid)
        else:
            give(worker, order)

    monkeypatch.setattr(tried, "_give", end_it)
    answers = {order.item.numbers[0]: answer for order, answer in tried.run(orders(study, tmp_path, 3))}
    assert [type(answers[n]) for n in range(3)] == [Made, Failed, Made]
    assert f"{MOST_TRIES} workers ended at this mask" in answers[1].message
    assert len(set(costly)) == MOST_TRIES


def test_a_machine_that_goes_away_costs_no_mask(study: Path, tmp_path: Path) -> None:
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    try:
        tried = RayPool(None, Settings(), address=cluster.address)
        assert tried._count == 2
        made = []
        for order, answer in tried.run(orders(study, tmp_path, 20)):
            assert isinstance(answer, Made), answer
            made.append(order.item.numbers[0])
            if len(made) == 6:
                cluster.remove_node(second, allow_graceful=False)
        assert sorted(made) == list(range(20))
    finally:
        cluster.shutdown()


def test_the_command_makes_the_masks_of_the_pool(cli: Cli, study: Path, table: Table, tmp_path: Path) -> None:
    manifest = table(
        *[{"image": f"p{n}.png", "box": "24,14,56,48"} for n in range(4)], {"image": "scan.nii.gz", "point": "24,22,6"}
    )
    assert cli("batch", manifest, "-o", tmp_path / "pool", "--workers", "1").status == 0
    outcome = cli("batch", manifest, "-o", tmp_path / "ray", "--engine", "ray", "--workers", "1")
    assert outcome.status == 0, outcome.err
    assert "5 masks made" in outcome.out
    with (tmp_path / "ray" / "report.csv").open(newline="") as file:
        names = [Path(row["output"]).name for row in csv.DictReader(file)]
    assert len(set(names)) == 5
    for name in names:
        masks = [read_mask(tmp_path / way / name).array for way in ("pool", "ray")]
        assert masks[0].any()
        assert np.array_equal(*masks)
    again = cli("batch", manifest, "-o", tmp_path / "ray", "--engine", "ray")
    assert "0 masks made, 5 kept" in again.out


def test_an_address_where_nothing_is(cli: Cli, study: Path, table: Table, tmp_path: Path) -> None:
    manifest = table({"image": "p0.png", "box": "24,14,56,48"})
    outcome = cli("batch", manifest, "-o", tmp_path / "out", "--engine", "ray", "--address", "auto")
    assert outcome.status == 2
    assert "expected a running Ray cluster" in outcome.err.splitlines()[-1]
    outcome = cli("batch", manifest, "-o", tmp_path / "out", "--engine", "ray", "--address", "127.0.0.1:1")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "expected a running Ray cluster" in outcome.err
    outcome = cli("batch", manifest, "-o", tmp_path / "out", "--address", "auto")
    assert (outcome.status, outcome.err.count("\n")) == (2, 1)
    assert "--engine ray" in outcome.err

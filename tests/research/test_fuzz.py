"""The harness that fuzzes readers: it has to notice each way in which reading goes wrong, and miss no reader."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest

from bedside.core.errors import BedsideError, FormatError
from bedside.io.dicom.objects import kind_of
from bedside.io.registry import READERS, Reader
from research.fuzz import __main__ as harness
from research.fuzz import seeds as seeds_module
from research.fuzz.__main__ import Tally, fuzz, table
from research.fuzz.children import Result, read_all
from research.fuzz.mutations import damage
from research.fuzz.objects import OBJECTS, make_object_seeds, read_object
from research.fuzz.seeds import Seed, make_seeds

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")


def _fine() -> int:
    return 12


def _rejecting() -> int:
    raise FormatError("a")


def _foreign() -> int:
    raise KeyError("a")


def _translated() -> int:
    try:
        raise MemoryError
    except MemoryError as error:
        raise FormatError("a") from error


def _crashing() -> int:
    os.abort()


def _leaving() -> int:
    os._exit(0)


def _hanging() -> int:
    time.sleep(60)
    return 0


def _growing() -> int:
    return int(np.ones(300 * 2**20, np.uint8).sum())


def _greedy() -> int:
    return int(np.ones(2**40, np.uint8).sum())


def test_every_ending_is_noticed() -> None:
    jobs = [_fine, _rejecting, _foreign, _crashing, _fine, _translated, _hanging, _leaving, _greedy, _fine]
    results = read_all(jobs, longest=1.0)
    assert [r.ending for r in results] == [
        *("read", "rejected", "foreign", "crash", "read", "foreign", "hang", "crash", "foreign", "read")
    ]
    assert results[0].held == 12
    assert "KeyError" in results[2].note
    assert results[3].note == "SIGABRT"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_is_that_of_each_file() -> None:
    first, second, third = read_all([_fine, _growing, _fine])
    assert first.grown < 50 * 2**20 < 250 * 2**20 < second.grown < 400 * 2**20
    assert third.grown < 50 * 2**20


def test_the_table_counts() -> None:
    tally = Tally()
    tally.add(Result("read", 0.5, 3 * harness.FLOOR, harness.FLOOR), 10)
    tally.add(Result("crash", note="SIGABRT"), 10)
    shown = table({"a": tally})
    assert "| a | 2 | 1 | 0 | 1 | 0 | 0 | 0.5 | 192 | 2.0 |" in shown
    assert "| all | 2 | 1 | 0 | 1 |" in shown
    assert "a: crash: SIGABRT, 1 times" in shown


@pytest.fixture(scope="module")
def seeds() -> dict[str, list[Seed]]:
    return make_seeds()


@pytest.mark.parametrize("reader", sorted(name for name, _ in READERS.items()))
def test_seeds_are_valid(tmp_path: Path, seeds: dict[str, list[Seed]], reader: str) -> None:
    for number, seed in enumerate(seeds[reader]):
        for name, content in seed.files.items():
            (tmp_path / str(number) / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / str(number) / name).write_bytes(content)
        assert any(_reads(tmp_path / str(number) / seed.entry, choice) for choice in (1, 3, 4, 9)), seed.entry


@pytest.mark.parametrize("form", OBJECTS)
def test_seeds_of_objects_are_valid(tmp_path: Path, form: str) -> None:
    made = make_object_seeds()[form]
    assert len(made) >= 4
    for number, seed in enumerate(made):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(seed.files[seed.entry])
        assert kind_of(path) == form
        # The grid's map, and more where there are segments.
        assert read_object(path, 5) > 2 * 4 * 20 * 18


def _reads(path: Path, choice: int) -> bool:
    try:
        return harness.read(path, choice) > 0
    except BedsideError:
        return False


def test_a_new_reader_is_fuzzed_without_being_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object) -> object:
        raise KeyError("always")

    known = dict(READERS.items())
    new = Reader("new", (".new",), broken, recognises=lambda head: head[:3] == b"BM@")  # type: ignore[arg-type]

    class _Known:
        def items(self) -> Iterator[tuple[str, Reader]]:
            return iter({**known, "new": new}.items())

    monkeypatch.setattr(seeds_module, "READERS", _Known())
    made = make_seeds()["new"]
    assert len(made) > 50
    assert all(seed.entry in ("seed.new", "") for seed in made)
    monkeypatch.setattr(harness, "FINDINGS", tmp_path)
    found: dict[str, Tally] = {}
    fuzz(["new"], 0, 0, found.update)
    assert found["new"].endings.total() == 100


def test_damage_follows_chance_alone() -> None:
    content = bytes(range(256)) * 4
    made = {damage(content, Random(n), lambda: b"other") for n in range(50)}
    assert len(made) > 40
    assert damage(content, Random(3), lambda: b"other") == damage(content, Random(3), lambda: b"other")


@pytest.mark.parametrize("reader", ["png", "npz", "nifti"])
def test_damage_is_done_behind_checksums_and_compression(seeds: dict[str, list[Seed]], reader: str) -> None:
    import gzip
    import io
    import zipfile
    import zlib

    def whole(content: bytes) -> bool:
        """Return whether checksums and compression are right all the same."""
        try:
            if reader == "npz":
                return zipfile.ZipFile(io.BytesIO(content)).testzip() is None
            if reader == "nifti":
                return bool(gzip.decompress(content))
            end = content.rindex(b"IEND")
            return zlib.crc32(content[12:29]).to_bytes(4, "big") == content[29:33] and len(content) == end + 8
        except (OSError, EOFError, ValueError, zlib.error, zipfile.BadZipFile, NotImplementedError):
            return False

    seed = next(s for s in seeds[reader] if reader != "nifti" or s.entry.endswith(".gz"))
    content = seed.files[seed.entry]
    assert whole(content)
    made = [damage(content, Random(n), lambda: b"other") for n in range(60)]
    assert sum(whole(m) and m != content for m in made) > 20


@pytest.mark.slow
@pytest.mark.parametrize("reader", [*sorted(name for name, _ in READERS.items()), *OBJECTS])
def test_a_hundred_damaged_files_of_each_reader_are_read_or_rejected(reader: str, tmp_path: Path) -> None:
    # In a process of its own: the threads of this one would be missing in what it forks.
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *sys.path])}
    command = [sys.executable, "-m", "research.fuzz", reader, "--minutes", "0", "--seed", "1"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    total = next(line for line in ran.stdout.splitlines() if line.startswith(f"| {reader} "))
    files, read, rejected = (int(cell.replace(",", "")) for cell in total.split("|")[2:5])
    assert files == read + rejected == 100
    assert rejected > 10

"""Reads damaged files of every format for some minutes, and tells what of it went wrong; ``make fuzz MINUTES=10``.

Readers come from the registry, and with them those of SEG and RTSTRUCT, whose files are read on their image. Files that
went wrong are kept in ``fuzz-findings/``, which git leaves out: they may break other software, too.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from random import Random

from bedside.io import read_image, read_mask
from bedside.io.challenge import read_case
from bedside.io.contents import contents
from research.fuzz.children import Ending, Result, read_all
from research.fuzz.mutations import damage
from research.fuzz.objects import OBJECTS, make_object_seeds, read_object
from research.fuzz.seeds import Seed, make_seeds

FINDINGS = Path("fuzz-findings")
FLOOR = 64 * 2**20
"""Bytes of memory that any file may take; what goes beyond is a multiple of the file or of its samples."""
_AT_ONCE = 100


@dataclass
class Tally:
    """What became of the files of one reader."""

    endings: Counter[Ending] = field(default_factory=Counter)
    seconds: float = 0.0
    grown: int = 0
    multiple: float = 0.0
    notes: Counter[str] = field(default_factory=Counter)

    def add(self, result: Result, size: int) -> None:
        """Count one file of ``size`` bytes."""
        self.endings[result.ending] += 1
        self.seconds, self.grown = max(self.seconds, result.seconds), max(self.grown, result.grown)
        self.multiple = max(self.multiple, max(0, result.grown - FLOOR) / max(1, size, result.held))
        if result.note:
            self.notes[f"{result.ending}: {result.note}"] += 1


def read(path: Path, choice: int) -> int:
    """Read a file in one of the ways in which Bedside does; return the bytes of its samples."""
    way = choice % 10
    if way == 0:
        contents(path)
        return 0
    if way in (1, 2) and path.suffix == ".npz":
        return int(read_case(path).image.array.nbytes)
    if way in (1, 2, 3):
        return int(read_mask(path).array.nbytes)
    return int(read_image(path, volume=0 if way < 7 else None).array.nbytes)


def fuzz(readers: Sequence[str], minutes: float, number: int, report: Callable[[dict[str, Tally]], None]) -> bool:
    """Read damaged files of readers in turn until the time is over; return whether all went well.

    Args:
        readers: Names; none for all.
        minutes: How long.
        number: Where chance begins.
        report: Called with what was found so far, every minute and at the end.
    """
    seeds = {**make_seeds(), **make_object_seeds()}
    chosen = list(readers) or sorted(seeds)
    tallies = {name: Tally() for name in chosen}
    everything = [content for name in sorted(seeds) for seed in seeds[name] for content in seed.files.values()]
    _import_libraries()
    until, said = time.monotonic() + 60 * minutes, time.monotonic()
    for turn in itertools.count():
        name = chosen[turn % len(chosen)]
        random = Random(f"{number} {turn}")
        with tempfile.TemporaryDirectory(prefix="fuzz-", dir=_memory_folder()) as folder:
            # What a reader that dies leaves behind goes with the rest.
            os.environ["TMPDIR"] = tempfile.tempdir = folder
            _one_turn(Path(folder), seeds[name], everything, random, tallies[name], name)
        tempfile.tempdir = None
        del os.environ["TMPDIR"]
        if time.monotonic() - said > 60:
            report(tallies)
            said = time.monotonic()
        if time.monotonic() > until:
            break
    report(tallies)
    return all(not t.endings["crash"] + t.endings["hang"] + t.endings["foreign"] for t in tallies.values())


def _one_turn(
    folder: Path, seeds: Sequence[Seed], everything: Sequence[bytes], random: Random, tally: Tally, name: str
) -> None:
    jobs, places, sizes = [], [], []
    for number in range(_AT_ONCE):
        seed = random.choice(seeds)
        place = folder / str(number)
        files = dict(seed.files)
        hurt = random.choice(sorted(files))
        files[hurt] = damage(files[hurt], random, lambda: random.choice(everything))
        for file, content in files.items():
            (place / file).parent.mkdir(parents=True, exist_ok=True)
            (place / file).write_bytes(content)
        reading = read_object if name in OBJECTS else read
        jobs.append(partial(reading, place / seed.entry, random.randrange(30)))
        places.append(place)
        sizes.append(sum(map(len, files.values())))
    for place, size, result in zip(places, sizes, read_all(jobs), strict=True):
        tally.add(result, size)
        if result.ending in ("crash", "hang", "foreign") or result.grown > 4 * FLOOR:
            kept = FINDINGS / f"{name}-{result.ending}-{random.getrandbits(40):010x}"
            shutil.copytree(place, kept)
            (kept / "NOTE").write_text(f"{result}\n", encoding="utf-8")


def _memory_folder() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _import_libraries() -> None:
    """Import what readers use, once for all children; reading here would start threads, which children do not get."""
    for library in ("SimpleITK", "nibabel", "pydicom", "tifffile", "zarr", "PIL.Image", "imagecodecs"):
        try:
            __import__(library)
        except ImportError:
            print(f"{library} is not installed", file=sys.stderr)


def table(tallies: dict[str, Tally]) -> str:
    """Return the results as a table in Markdown."""
    lines = [
        "| reader | files | read | rejected | crashes | hangs | foreign | longest, s | memory, MiB | multiple |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, t in [*tallies.items(), ("all", _total(tallies))]:
        e = t.endings
        counts = " | ".join(f"{e[k]:,}" for k in ("read", "rejected", "crash", "hang", "foreign"))
        memory = f"{t.grown / 2**20:.0f} | {t.multiple:.1f}"
        lines.append(f"| {name} | {e.total():,} | {counts} | {t.seconds:.1f} | {memory} |")
    lines += [f"{name}: {note}, {n} times" for name, t in tallies.items() for note, n in t.notes.most_common(20)]
    return "\n".join(lines)


def _total(tallies: dict[str, Tally]) -> Tally:
    total = Tally()
    for t in tallies.values():
        total.endings += t.endings
        total.seconds, total.grown = max(total.seconds, t.seconds), max(total.grown, t.grown)
        total.multiple = max(total.multiple, t.multiple)
    return total


def main() -> None:
    """Fuzz the readers that the command line names, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("reader", nargs="*", help="names of the registry, dicom-seg, rtstruct; none for all")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0, help="where chance begins")
    given = parser.parse_args()
    well = fuzz(given.reader, given.minutes, given.seed, lambda found: print(table(found), "", sep="\n", flush=True))
    sys.exit(not well)


if __name__ == "__main__":
    main()

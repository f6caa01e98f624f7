"""Kills server and commands at random points for some minutes, and tells what was lost; ``make chaos MINUTES=10``.

Commands are killed at a random moment, or before a random one of their operations on files (opening for writing,
renaming, removing, making folders), which reaches the steps between a file and its name that moments hardly ever meet.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Protocol

from research.chaos.commands import COMMANDS, Killing, Tally
from research.chaos.server import Server

SERVER = "server, prompts over the socket"


class _Target(Protocol):
    tally: Tally

    def round(self, random: Random) -> None: ...


def chaos(
    names: Sequence[str], minutes: float, number: int, folder: Path, report: Callable[[Mapping[str, Tally]], None]
) -> bool:
    """Kill one after the other in turn until the time is over; return whether nothing was lost or wrong.

    Args:
        names: What to kill, by the beginnings of the names; none for everything.
        minutes: How long.
        number: Where chance begins.
        folder: Empty.
        report: Called with the tallies every minute and at the end.
    """
    chosen = [name for name in (SERVER, *(c.name for c in COMMANDS)) if not names or name.startswith(tuple(names))]
    targets: dict[str, _Target] = {}
    tallies: dict[str, Tally] = {}
    until, said = time.monotonic() + 60 * minutes, time.monotonic()
    for turn in itertools.count():
        if not chosen or time.monotonic() > until:
            break
        name = chosen[turn % len(chosen)]
        if name not in targets:
            place = folder / str(chosen.index(name))
            place.mkdir()
            command = next((c for c in COMMANDS if c.name == name), None)
            targets[name] = Server(place) if command is None else Killing(command, place)
            tallies[name] = targets[name].tally
        targets[name].round(Random(f"{number} {turn}"))
        if time.monotonic() - said > 60:
            report(tallies)
            said = time.monotonic()
    report(tallies)
    return bool(tallies) and all(not t.lost and not t.wrong for t in tallies.values())


def table(tallies: Mapping[str, Tally]) -> str:
    """Return the results as a table in Markdown, with what went wrong below it."""
    lines = ["| killed | times | ended before | lost | wrong |", "|---|---|---|---|---|"]
    counts = {name: [t.kills, t.ended, t.lost, t.wrong] for name, t in tallies.items()}
    counts["all"] = [sum(column) for column in zip(*counts.values(), strict=True)]
    lines += [f"| {name} | {' | '.join(map(str, row))} |" for name, row in counts.items()]
    lines += [f"{name}: {note}" for name, t in tallies.items() for note in t.notes]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status: 1 where anything was lost or wrong."""
    parser = argparse.ArgumentParser(prog="python -m research.chaos", description=__doc__)
    parser.add_argument("names", nargs="*", help="beginnings of names, as 'segment'; by default everything")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    # Imported once, so that a forked child dies in its work and not in its imports; none of them starts threads.
    for module in ("bedside.cli.app", "bedside.cli.segment", "bedside.session", "bedside.io", "torch"):
        importlib.import_module(module)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        good = chaos(given.names, given.minutes, given.seed, Path(folder), _show)
    return 0 if good else 1


def _show(tallies: Mapping[str, Tally]) -> None:
    print(table(tallies), flush=True)


if __name__ == "__main__":
    sys.exit(main())

"""What the verbs of the challenges share: a folder of cases in, a folder of predictions out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedside.cli.loading import AUTO_SLICES, INCLUSIVE, load_model
from bedside.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bedside.challenge.answers import Answerer
    from bedside.challenge.folder import Outcome
    from bedside.engines.protocol import Segmenter

DEFAULT_MODEL = "bedside-2d"

InputArgument = Annotated[Path, typer.Argument(metavar="INPUT_DIR", help="Folder of official cases (.npz).")]
OutputArgument = Annotated[Path, typer.Argument(metavar="OUTPUT_DIR", help="Folder for the answers, one per case.")]
ModelOption = Annotated[str, typer.Option("--model", metavar="NAME", help="Model.")]
OptionalModelOption = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="Model; by default the bundled one for volumes.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
RuntimeOption = Annotated[str, typer.Option("--runtime", help="auto, or a runtime that 'bedside info' lists.")]
PrecisionOption = Annotated[
    str, typer.Option("--precision", help="auto, fp32, bf16, or int8 where the weights were quantised.")
]
SlicesOption = Annotated[
    str,
    typer.Option(
        "--slices",
        help="Volumes: published, as the team's own code, which leaves out ends of a box and follows later objects by "
        "their number; inclusive, every slice. auto is published for published systems.",
    ),
]
SecondsOption = Annotated[
    Path | None,
    typer.Option(
        "--seconds", metavar="FILE.csv", help="Seconds of each case. [default: running_time.csv in OUTPUT_DIR]"
    ),
]
ColdOption = Annotated[
    bool, typer.Option("--cold", help="A new process for every case, timed as a whole, as the challenges do.")
]


@dataclass(frozen=True)
class Answering:
    """Which model predictions, and how; as the user wrote it.

    Attributes:
        model: In the registry.
        device: Where it runs.
        runtime: What runs it.
        precision: What it computes in.
        slices: Slices of a box in a volume that are predicted.
        first_axis: Whether volumes are sliced across the first axis whatever their spacing.
        join: How classes that meet are told apart, of the 2025 competition.
    """

    model: str
    device: str
    runtime: str
    precision: str
    slices: str = INCLUSIVE
    first_axis: bool = False
    join: str = ""

    def load(self) -> Segmenter:
        """Return the segmenter."""
        return load_model(
            self.model,
            self.device,
            self.slices,
            runtime=self.runtime,
            precision=self.precision,
            first_axis=self.first_axis,
        )

    def options(self) -> list[str]:
        """Return the same for the command line of another process."""
        given = {"model": self.model, "device": self.device, "runtime": self.runtime, "precision": self.precision}
        found = [part for name, value in given.items() for part in (f"--{name}", value)]
        found += ["--join", self.join] if self.join else []
        usual = AUTO_SLICES if self.first_axis else INCLUSIVE
        return found if self.slices == usual else [*found, "--slices", self.slices]


def answer_folder(
    verb: str, answer: Answerer, inputs: Path, outputs: Path, how: Answering, seconds: Path | None, cold: bool
) -> None:
    """Predict every case of ``inputs``; those that fail are named on stderr and do not stop the others.

    Raises:
        InputError: There are no cases, or some of them failed.
    """
    from rich.console import Console

    from bedside.challenge.folder import (
        SECONDS_FILE,
        check_output,
        find_cases,
        run_cold,
        run_folder,
        write_outcomes,
    )
    from bedside.evaluate.runner import progress_bar

    cases = find_cases(inputs)
    check_output(inputs, outputs)
    with progress_bar(Console(stderr=True), len(cases)) as advance:
        if cold:
            results = run_cold(verb, cases, outputs, how.options(), advance)
        else:
            results = run_folder(cases, outputs, how.load(), answer, advance)
    write_outcomes(seconds or outputs / SECONDS_FILE, results)
    _report(results)


def _report(results: Sequence[Outcome]) -> None:
    failed = [r for r in results if r.problem]
    for result in failed:
        print(f"bedside: {result.case}: {result.problem}", file=sys.stderr)
    total, objects = sum(r.seconds for r in results), sum(r.objects for r in results)
    print(f"{len(results)} cases, {objects} objects, {total:.2f} s, {total / len(results):.2f} s a case")
    if failed:
        raise InputError(
            f"{len(failed)} of {len(results)} cases", expected="an answer to every prompt", got="the problems above"
        )

"""What the verbs of the challenges share: a folder of cases in, a folder of answers out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bedside.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bedside.evaluate.challenge.answers import Answerer
    from bedside.evaluate.challenge.folder import Outcome

DEFAULT_MODEL = "bedside-2d"

InputArgument = Annotated[Path, typer.Argument(metavar="INPUT_DIR", help="Folder of official cases (.npz).")]
OutputArgument = Annotated[Path, typer.Argument(metavar="OUTPUT_DIR", help="Folder for the answers, one per case.")]
ModelOption = Annotated[str, typer.Option("--model", metavar="NAME", help="Model.")]
OptionalModelOption = Annotated[
    str | None, typer.Option("--model", metavar="NAME", help="Model; by default the bundled one for volumes.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
SlicesOption = Annotated[
    str,
    typer.Option(
        "--slices", help="Slices of a box in a volume: all (inclusive), or as the team's own code (published)."
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


def answer_folder(
    verb: str,
    answer: Answerer,
    inputs: Path,
    outputs: Path,
    model: str,
    device: str,
    seconds: Path | None,
    cold: bool,
    slices: str | None = None,
) -> None:
    """Answer every case of ``inputs``; those that fail are named on stderr and do not stop the others.

    Raises:
        InputError: There are no cases, or some of them failed.
    """
    from rich.console import Console

    from bedside.evaluate.challenge.folder import (
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
            options = ["--model", model, "--device", device, *(["--slices", slices] if slices else [])]
            results = run_cold(verb, cases, outputs, options, advance)
        else:
            from bedside.cli.loading import load_model

            segmenter = load_model(model, device, slices) if slices else load_model(model, device)
            results = run_folder(cases, outputs, segmenter, answer, advance)
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

"""A folder of challenge cases predicted by one process, and the seconds that each took."""

from __future__ import annotations

import csv
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bedside.challenge.answers import Answerer
from bedside.core.errors import BedsideError, FormatError, InputError
from bedside.core.files import write_text_atomically
from bedside.core.tables import csv_text, plain_cell
from bedside.engines.protocol import Segmenter
from bedside.evaluate.process import run_process
from bedside.io import write_mask
from bedside.io.challenge import read_case
from bedside.io.quiet import reason

SECONDS_FILE = "running_time.csv"
"""Name of the seconds of a folder's cases, beside the predictions."""
_COLUMNS = ("case", "seconds", "objects", "problem")

Advance = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    Attributes:
        case: Name of its file without the suffix.
        seconds: From opening it to its prediction on disk; with a cold start those of the whole process.
        objects: How many have prompts; 0 where the case could not be read.
        problem: Why there is no prediction, or what it lacks; "" where all is well.
        megabytes: Most memory of the whole process, with a cold start; 0 where it was not measured.
    """

    case: str
    seconds: float
    objects: int = 0
    problem: str = ""
    megabytes: float = 0.0


def find_cases(folder: Path) -> list[Path]:
    """Return the cases of a folder, sorted by name.

    Raises:
        InputError: There is no such folder, or no case in it.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}", expected="an existing folder of .npz cases", got="none")
    files = sorted(p for p in folder.glob("*.npz") if not p.name.startswith("."))
    if not files:
        raise InputError(f"{folder}", expected="cases, files that end in .npz", got="none")
    return files


def check_output(inputs: Path, outputs: Path) -> None:
    """Make sure that predicts do not replace cases.

    Raises:
        InputError: Both folders are the same, or the output is a file.
    """
    if outputs.exists() and not outputs.is_dir():
        raise InputError(f"{outputs}", expected="a folder to write to", got="a file")
    if outputs.resolve() == inputs.resolve():
        raise InputError(f"{outputs}", expected="another folder than the input", fix="cases are never overwritten")


def run_folder(
    cases: Sequence[Path], outputs: Path, segmenter: Segmenter, answer: Answerer, advance: Advance | None = None
) -> list[Outcome]:
    """Predict every case and write its ``segs``; a case that fails does not stop the others.

    Args:
        cases: Files.
        outputs: Folder of the predictions, made where it is missing.
        segmenter: Ready for images; it serves all cases.
        answer: What the challenge asks for.
        advance: Called with the name of each case that is done.
    """
    outputs.mkdir(parents=True, exist_ok=True)
    results = []
    for path in cases:
        results.append(_run_case(path, outputs / path.name, segmenter, answer))
        if advance:
            advance(path.stem)
    return results


def _run_case(path: Path, target: Path, segmenter: Segmenter, answer: Answerer) -> Outcome:
    begin = time.perf_counter()
    objects, problem = 0, ""
    try:
        case = read_case(path)
        objects = case.objects
        segmenter.set_image(case.image)
        result = answer(segmenter, case)
        write_mask(target, result.labels, case.image.geometry)
        problem = "; ".join(result.problems)
    except BedsideError as error:
        problem = str(error)
    # A folder may be hours of work: whatever one case brings up, the others are to be predicted.
    except Exception as error:
        problem = f"{type(error).__name__}: {reason(error)}"
    return Outcome(path.stem, time.perf_counter() - begin, objects, " ".join(problem.split()))


def run_cold(
    verb: str,
    cases: Iterable[Path],
    outputs: Path,
    options: Sequence[str],
    advance: Advance | None = None,
    environment: Mapping[str, str] | None = None,
) -> list[Outcome]:
    """Predict each case by a process of its own, as the challenges' machines do, and time the whole process.

    Args:
        verb: Verb of the command line that predicts a folder.
        cases: Files.
        outputs: Folder of the predictions.
        options: Options of the verb.
        advance: Called with the name of each case that is done.
        environment: Variables of the processes' environment; by default those of this one.
    """
    results = []
    for path in cases:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / path.name).symlink_to(path.resolve())
            seconds_file = Path(folder) / "seconds" / SECONDS_FILE
            command = [sys.executable, "-m", "bedside.cli.main", verb, folder, str(outputs)]
            done = run_process([*command, "--seconds", str(seconds_file), *options], environment)
            inner = read_outcomes(seconds_file).get(path.stem)
        problem = inner.problem if inner else done.problem
        results.append(Outcome(path.stem, done.seconds, inner.objects if inner else 0, problem, done.megabytes))
        if advance:
            advance(path.stem)
    return results


def write_outcomes(path: Path, outcomes: Iterable[Outcome]) -> None:
    """One row a case as CSV, atomically."""
    rows = ((o.case, f"{o.seconds:.4f}", o.objects, o.problem) for o in outcomes)
    write_text_atomically(path, csv_text([_COLUMNS, *rows]))


def read_outcomes(path: Path) -> dict[str, Outcome]:
    """Return the rows of ``write_outcomes`` by case; none where there is no file.

    The columns ``objects`` and ``problem`` may be missing, and times may stand under ``time``.

    Raises:
        FormatError: The file holds something else.
    """
    if not path.is_file():
        return {}
    found = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                name, seconds = plain_cell(row["case"]).removesuffix(".npz"), float(row.get("seconds") or row["time"])
                if not (math.isfinite(seconds) and seconds >= 0):
                    raise ValueError(f"{seconds} seconds")
                found[name] = Outcome(name, seconds, int(row.get("objects") or 0), plain_cell(row.get("problem") or ""))
    except (LookupError, ValueError, AttributeError) as error:
        raise FormatError(f"{path}", expected="a CSV with the columns case and seconds", got=str(error)) from error
    return found

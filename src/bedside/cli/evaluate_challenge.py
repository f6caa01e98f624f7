"""``bedside evaluate --protocol box2024`` and ``interactive2025``: the challenges' own measures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bedside.cli.datasets import one_split
from bedside.core.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from bedside.challenge.sets import SetCase
    from bedside.evaluate.runner import Entry

PROTOCOLS = ("clicks", "box2024", "interactive2025")
PIPE_WIDTH = 200
_SHARED = {
    "protocol",
    "metric",
    "tolerance",
    "json_file",
    "csv_file",
    "official_spacing_order",
    "truth",
    "data",
    "seed",
}
_TAKEN = {
    "box2024": _SHARED | {"predictions"},
    "interactive2025": _SHARED
    | {"model", "device", "precision", "baseline", "sets", "split", "objects", "start", "markdown", "report"},
}
"""Options of ``evaluate`` that mean something to a protocol."""


@dataclass(frozen=True)
class ChallengeJob:
    """What to measure, as the user wrote it; see the options of ``bedside evaluate``."""

    data: Path | None
    truth: Path | None
    predictions: tuple[Path, ...]
    models: tuple[str, ...]
    baselines: tuple[str, ...]
    sets: tuple[str, ...]
    split: str | None
    starts: tuple[str, ...]
    metrics: tuple[str, ...]
    objects: int
    device: str
    precision: str
    tolerance: float
    seed: int
    official_spacing_order: bool
    json_file: Path | None
    csv_file: Path | None
    markdown_file: Path | None
    report_file: Path | None


def evaluate_challenge(context: typer.Context, protocol: str, job: ChallengeJob) -> None:
    """Measure by a challenge's protocol and show a table; CSV and JSON where they are asked for.

    Raises:
        InputError: The protocol is unknown, an option is not for it, or a folder is missing.
    """
    if protocol not in _TAKEN:
        raise InputError("--protocol", expected=f"one of {', '.join(PROTOCOLS)}", got=f"'{protocol}'")
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name != "DEFAULT" and parameter.name not in _TAKEN[protocol]:
            raise InputError(f"{parameter.opts[0]}", expected=f"an option that --protocol {protocol} takes")
    from bedside.evaluate.metrics import metric_specs

    metric_specs(job.metrics)
    if not job.tolerance >= 0:
        raise InputError("--tolerance", expected="a distance of 0 or more", got=job.tolerance)
    (_box2024 if protocol == "box2024" else _interactive2025)(job)


def _box2024(job: ChallengeJob) -> None:
    from rich.console import Console

    from bedside.challenge.box2024 import ranked_metrics, score_folder
    from bedside.challenge.folder import find_cases
    from bedside.challenge.ranking import rank
    from bedside.challenge.results import box_csv, box_json, box_table, rank_table
    from bedside.evaluate.runner import progress_bar

    truth = job.truth or job.data
    if truth is None or not job.predictions:
        raise InputError("box2024", expected="--predictions with label maps and --truth with their cases")
    names = _names(job.predictions)
    total = len(find_cases(truth)) * len(names)
    with progress_bar(Console(stderr=True), total) as advance:
        submissions = [
            score_folder(
                folder,
                truth,
                name=name,
                tolerance=job.tolerance,
                official_spacing_order=job.official_spacing_order,
                metrics=job.metrics,
                advance=advance,
            )
            for name, folder in zip(names, job.predictions, strict=True)
        ]
    scores, directions = ranked_metrics(submissions)
    ranks = rank(names, scores, job.seed, directions) if len(names) > 1 else []
    console = _console()
    console.print(box_table(submissions))
    if ranks:
        console.print(rank_table(ranks))
    _write(job, box_csv(submissions), box_json(submissions, ranks, _details("box2024", job)))


def _interactive2025(job: ChallengeJob) -> None:
    from rich.console import Console

    from bedside.challenge.interactive2025 import InteractiveProtocol, evaluate_interactive
    from bedside.challenge.means import interactive_ranks
    from bedside.challenge.results import interactive_csv, interactive_json, interactive_table, rank_table
    from bedside.core.files import write_text_atomically
    from bedside.evaluate.markdown import create_markdown
    from bedside.evaluate.results import starts_document
    from bedside.evaluate.runner import progress_bar

    if job.data is None:
        raise InputError("interactive2025", expected="--data with a folder of cases or of datasets")
    if len(set(job.models)) != len(job.models):
        raise InputError("--model", expected="each name once", got=", ".join(job.models))
    protocols = [
        InteractiveProtocol(job.tolerance, job.official_spacing_order, job.seed, start=start, metrics=job.metrics)
        for start in _interactive_starts(job.starts)
    ]
    count, cases = _interactive_cases(job, job.data)
    entries = _entries(job)
    with progress_bar(Console(stderr=True), count * len(entries)) as advance:
        evaluations = evaluate_interactive(cases, entries, protocols, advance)
    ranks = {e.start: rows for e in evaluations if (rows := interactive_ranks(e, job.seed))}
    console = _console()
    console.print(interactive_table(evaluations))
    for start, rows in ranks.items():
        console.print(rank_table(rows, f"mean ranks over metrics and cases, start {start}"))
    details = {**_details("interactive2025", job), **starts_document(evaluations, objects=False)}
    _write(job, interactive_csv(evaluations), interactive_json(evaluations, ranks, details))
    if job.markdown_file is not None:
        write_text_atomically(job.markdown_file, create_markdown(evaluations))
    if job.report_file is not None:
        from bedside.evaluate.report.page import write_report

        write_report(evaluations, (), None, job.report_file)


def _interactive_starts(names: tuple[str, ...]) -> list[Any]:
    """List the competition's start and those that ``--start`` names; all of them for "all"."""
    from bedside.challenge.interactive2025 import OFFICIAL
    from bedside.evaluate.starts import choose_starts

    others = [n for n in names if n != OFFICIAL]
    official = [OFFICIAL] if not names or OFFICIAL in names or others == ["all"] else []
    return [*official, *(choose_starts(others, volumes=True, several=False) if others else [])]


def _interactive_cases(job: ChallengeJob, data: Path) -> tuple[int, Iterator[SetCase]]:
    """Count the cases, and give each with its dataset: made from datasets, or read from a folder of cases."""
    from bedside.challenge.folder import find_cases
    from bedside.challenge.interactive2025 import read_labelled_case
    from bedside.challenge.sets import SetCase, set_cases, volumes_only
    from bedside.data.catalogue import SET_FILE, select_data_sets

    if data.is_dir() and next(data.rglob(SET_FILE), None) is not None:
        sets = volumes_only(select_data_sets(one_split(data, job.split), job.sets))
        return sum(len(s.cases) for s in sets), set_cases(sets, job.objects, seed=job.seed)
    files = find_cases(data)
    return len(files), (SetCase("", read_labelled_case(path, job.truth)) for path in files)


def _entries(job: ChallengeJob) -> list[Entry]:
    """Load models and baselines."""
    from bedside.cli.loading import load_model
    from bedside.evaluate.baselines import BASELINES
    from bedside.evaluate.runner import Entry

    models = [Entry(n, "model", load_model(n, job.device, precision=job.precision)) for n in job.models if n != "none"]
    baselines = [Entry(n, "baseline", BASELINES.get(n)()) for n in job.baselines if n != "none"]
    return [*models, *baselines]


def _names(folders: tuple[Path, ...]) -> list[str]:
    """Name submissions: by their folders, with the folder above where that is not enough."""
    names = [f.resolve().name for f in folders]
    if len(set(names)) < len(names):
        names = ["/".join(f.resolve().parts[-2:]) for f in folders]
    if len(set(names)) < len(names):
        raise InputError("--predictions", expected="folders of different names", got=", ".join(names))
    return names


def _console() -> Console:
    from rich.console import Console

    console = Console()
    # A pipe has no width, and a guess of 80 would cost columns.
    return console if console.is_terminal else Console(width=PIPE_WIDTH)


def _details(protocol: str, job: ChallengeJob) -> dict[str, Any]:
    from bedside.evaluate.manifest import create_manifest

    return {
        "manifest": create_manifest([], job.seed),
        "protocol": {
            "name": protocol,
            "tolerance": job.tolerance,
            "unit": "mm",
            "official_spacing_order": job.official_spacing_order,
            "seed": job.seed,
        },
    }


def _write(job: ChallengeJob, rows: str, document: str) -> None:
    from bedside.core.files import write_text_atomically

    if job.csv_file is not None:
        write_text_atomically(job.csv_file, rows)
    if job.json_file is not None:
        write_text_atomically(job.json_file, document)

"""``bedside evaluate``: measure models and baselines on labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from bedside.cli.datasets import one_split
from bedside.core.errors import InputError
from bedside.evaluate.metrics import DEFAULT_METRICS, METRICS

if TYPE_CHECKING:
    from bedside.data.catalogue import DataSet
    from bedside.evaluate.cases import ObjectSelection
    from bedside.evaluate.results import Evaluation
    from bedside.evaluate.runner import Entry
    from bedside.evaluate.starts import Start

Choice = TypeVar("Choice", bound=str)

PIPE_WIDTH = 200
DEFAULT_MODEL = "bedside-2d"
NONE = "none"
"""Given as the only model or baseline, it means that there is none."""


def evaluate(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option("--data", help="Folder of datasets: a root, a split or a single set; or of cases.")
    ] = None,
    protocol: Annotated[
        str, typer.Option("--protocol", help="clicks, or a challenge's: box2024 or interactive2025.")
    ] = "clicks",
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            help="Model, may be repeated, with other numbers by which its windows are chosen as "
            f"NAME:object_zoom=1.5,refine_limit=9; 'none' for baselines alone. [default: {DEFAULT_MODEL}]",
        ),
    ] = None,
    baseline: Annotated[
        list[str] | None,
        typer.Option(
            "--baseline",
            help="Baseline, may be repeated; 'none' for none. [default: all that take the start; none with several]",
        ),
    ] = None,
    start: Annotated[
        list[str] | None,
        typer.Option(
            "--start",
            help="First prompt: box, loose-box, flat-box, part-boxes (a box for each part), point, scribble, lasso or "
            "mask, may be repeated; 'all' for every one side by side. [default: box; interactive2025: the "
            "competition's own]",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            help=f"Metric, may be repeated: {', '.join(METRICS.names())}. [default: {' and '.join(DEFAULT_METRICS)}]",
        ),
    ] = None,
    clicks: Annotated[int, typer.Option("--clicks", help="Corrective clicks per object.")] = 5,
    objects: Annotated[int, typer.Option("--objects", help="Most objects of a case.")] = 10,
    sets: Annotated[list[str] | None, typer.Option("--set", help="Dataset, may be repeated. [default: all]")] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Split, where the folder holds several. [default: val]")
    ] = None,
    tolerance: Annotated[float, typer.Option("--tolerance", help="Of the surface distance, in mm or pixels.")] = 2.0,
    tolerance_unit: Annotated[
        str, typer.Option("--tolerance-unit", help="auto (mm where the spacing is known) or px.")
    ] = "auto",
    volumes: Annotated[
        str, typer.Option("--volumes", help="Objects of volumes: in their largest slices, or whole.")
    ] = "slices",
    slice_axis: Annotated[
        str, typer.Option("--slice-axis", help="Axis to slice volumes across: x, y, z, or auto (the coarsest).")
    ] = "auto",
    candidates: Annotated[
        bool, typer.Option("--candidates", help="Let the simulated user pick the best mask that a click may mean.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the simulated user.")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    precision: Annotated[
        str, typer.Option("--precision", help="auto (what the processor does fastest), fp32, bf16 or int8.")
    ] = "auto",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all results as JSON.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write one row per prediction as CSV.")] = None,
    markdown: Annotated[Path | None, typer.Option("--markdown", help="Write tables for a page of Markdown.")] = None,
    report: Annotated[Path | None, typer.Option("--report", help="Write a report as one HTML file.")] = None,
    gallery: Annotated[
        Path | None,
        typer.Option("--gallery", metavar="DIR", help="Write pictures of the worst, median and best cases."),
    ] = None,
    predictions: Annotated[
        list[Path] | None,
        typer.Option("--predictions", metavar="DIR", help="box2024: predictions; several folders are ranked."),
    ] = None,
    truth: Annotated[
        Path | None, typer.Option("--truth", metavar="DIR", help="Challenges: cases with gts. [default: --data]")
    ] = None,
    official_spacing_order: Annotated[
        bool, typer.Option("--official-spacing-order", help="Challenges: NSD with x, y, z taken for z, y, x.")
    ] = False,
) -> None:
    """Measure models on labelled images: a first prompt on each object, then corrective clicks.

    With --protocol box2024 predictions for the CVPR 2024 challenge are compared with the truth; with --protocol
    interactive2025 models are put through the five click rounds of the CVPR 2025 competition.
    """
    if protocol != "clicks":
        from bedside.cli.evaluate_challenge import ChallengeJob, evaluate_challenge

        job = ChallengeJob(
            data=data,
            truth=truth,
            predictions=tuple(predictions or ()),
            models=tuple(model or (DEFAULT_MODEL,)),
            baselines=tuple(baseline or ()),
            sets=tuple(sets or ()),
            split=split,
            starts=tuple(start or ()),
            metrics=tuple(metric or DEFAULT_METRICS),
            objects=objects,
            device=device,
            precision=precision,
            tolerance=tolerance,
            seed=seed,
            official_spacing_order=official_spacing_order,
            json_file=json_file,
            csv_file=csv_file,
            markdown_file=markdown,
            report_file=report,
        )
        Outputs(json_file, csv_file, markdown, report).check()
        evaluate_challenge(context, protocol, job)
        return
    if data is None:
        raise InputError("missing option '--data'", fix="see 'bedside evaluate --help'")
    if predictions or truth or official_spacing_order:
        raise InputError("--predictions, --truth and --official-spacing-order", fix="name the challenge by --protocol")
    from rich.console import Console

    from bedside.data.catalogue import select_data_sets
    from bedside.evaluate.cases import ObjectSelection, VolumeMode
    from bedside.evaluate.clicks_protocol import ClicksProtocol
    from bedside.evaluate.metrics import ToleranceUnit
    from bedside.evaluate.runner import count_steps, evaluate_starts, progress_bar
    from bedside.evaluate.starts import choose_starts

    outputs = Outputs(json_file, csv_file, markdown, report, gallery)
    outputs.check()
    whole: VolumeMode = _one_of(volumes, "--volumes", ("slices", "whole"))
    unit: ToleranceUnit = _one_of(tolerance_unit, "--tolerance-unit", ("auto", "px"))
    starts = choose_starts(start or ["box"], volumes=whole == "whole")
    metrics = tuple(metric or DEFAULT_METRICS)
    protocols = [ClicksProtocol(s, clicks, metrics, tolerance, unit, seed, candidates) for s in starts]
    chosen = select_data_sets(one_split(data, split), sets or [])
    selection = ObjectSelection(
        limit=objects, volumes=whole, slice_axis=_one_of(slice_axis, "--slice-axis", ("auto", "x", "y", "z"))
    )
    # Last, because loading a model takes longest.
    entries = [*_models(model, device, precision), *_baselines(baseline, starts)]
    with progress_bar(Console(stderr=True), count_steps(chosen, entries)) as advance:
        evaluations = evaluate_starts(chosen, entries, protocols, selection, advance)
    outputs.write(evaluations, chosen, selection)


@dataclass(frozen=True)
class Outputs:
    """Where results go besides the terminal; see the options of ``bedside evaluate``."""

    json_file: Path | None
    csv_file: Path | None
    markdown: Path | None
    report: Path | None
    gallery: Path | None = None

    def check(self) -> None:
        """Reject before the work what could not be written after it.

        Raises:
            InputError: A file is a folder.
            DependencyError: What a report or gallery is made with is not installed.
        """
        for file in (self.json_file, self.csv_file, self.markdown, self.report):
            if file is not None and file.is_dir():
                raise InputError("output", expected="a file", got=f"the folder {file}")
        if self.report is not None or self.gallery is not None:
            from bedside.evaluate.report.templating import check_libraries

            check_libraries()

    def write(self, evaluations: Sequence[Evaluation], sets: Sequence[DataSet], selection: ObjectSelection) -> None:
        """Print tables, and write the files that were asked for."""
        from rich.console import Console

        from bedside.core.files import write_text_atomically
        from bedside.evaluate.markdown import create_markdown
        from bedside.evaluate.results import write_csv, write_json
        from bedside.evaluate.table import create_table

        console = Console()
        if not console.is_terminal:
            # A pipe has no width, and a guess of 80 would cost columns.
            console = Console(width=PIPE_WIDTH)
        for evaluation in evaluations:
            console.print(create_table(evaluation, console.width))
        if self.json_file is not None:
            write_json(evaluations, self.json_file)
        if self.csv_file is not None:
            write_csv(evaluations, self.csv_file)
        if self.markdown is not None:
            write_text_atomically(self.markdown, create_markdown(evaluations))
        if self.report is not None:
            from bedside.evaluate.report.page import write_report

            write_report(evaluations, sets, selection, self.report)
        if self.gallery is not None:
            from bedside.evaluate.report.gallery import write_gallery

            write_gallery(evaluations, sets, selection, self.gallery)


def _one_of(value: str, option: str, allowed: tuple[Choice, ...]) -> Choice:
    for choice in allowed:
        if choice == value:
            return choice
    raise InputError(option, expected=f"one of {', '.join(allowed)}", got=f"'{value}'")


def _models(names: Sequence[str] | None, device: str, precision: str) -> list[Entry]:
    if names is not None and list(names) == [NONE]:
        return []
    from bedside.cli.loading import load_model
    from bedside.evaluate.runner import Entry

    return [Entry(n, "model", load_model(n, device, precision=precision)) for n in names or [DEFAULT_MODEL]]


def _baselines(names: Sequence[str] | None, starts: Sequence[Start]) -> list[Entry]:
    from bedside.evaluate.baselines import BASELINES
    from bedside.evaluate.runner import Entry

    if (names is not None and list(names) == [NONE]) or (names is None and len(starts) > 1):
        return []
    entries = [Entry(n, "baseline", BASELINES.get(n)()) for n in names or BASELINES.names()]
    return entries if names else [e for e in entries if e.can_start(starts[0])]

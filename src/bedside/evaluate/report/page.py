"""The evaluation as one HTML page that needs no other file: tables, curves, and pictures of cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bedside.core.files import write_text_atomically
from bedside.data.catalogue import DataSet
from bedside.evaluate.calibration import estimates, reliability
from bedside.evaluate.cases import ObjectSelection
from bedside.evaluate.markdown import metric_note, tolerance_words
from bedside.evaluate.metrics import MetricSpec
from bedside.evaluate.report.examples import Example, pick_examples, shown_candidate
from bedside.evaluate.report.figures import Figures, candidate_colours
from bedside.evaluate.report.templating import check_libraries, render
from bedside.evaluate.results import Curve, Evaluation, SetInfo
from bedside.evaluate.starts import start_title

if TYPE_CHECKING:
    from markupsafe import Markup

FIRST_PROMPTS = {"box": "tight box", "point": "click at the object's centre"}


@dataclass(frozen=True)
class Cell:
    """A score in a table.

    Attributes:
        text: The score.
        title: Its interval in words, "" for none.
        best: Whether no other candidate is better.
    """

    text: str
    title: str = ""
    best: bool = False


@dataclass(frozen=True)
class Row:
    """A candidate, or a first prompt, in a table.

    Attributes:
        name: Name of the candidate or the prompt.
        cells: One a column.
        spreads: Half the width of each interval, for a line of its own; empty without intervals.
        colour: Colour of the candidate in the curves, "" for none.
    """

    name: str
    cells: tuple[Cell, ...]
    spreads: tuple[str, ...]
    colour: str = ""


@dataclass(frozen=True)
class ScoreTable:
    """A metric of several candidates or first prompts.

    Attributes:
        headings: The metric, then the columns.
        rows: From top to bottom.
    """

    headings: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Results:
    """Of each metric its table and its curves, of one dataset or of the mean over all."""

    metrics: tuple[tuple[ScoreTable, Markup], ...]


@dataclass(frozen=True)
class SetSection:
    """What the page says of a dataset; no results where no object was large enough."""

    info: SetInfo
    results: Results | None
    examples: tuple[Example, ...]


@dataclass(frozen=True)
class Part:
    """All from one kind of first prompt."""

    evaluation: Evaluation
    title: str
    shown: str
    mean: Results
    reliability: tuple[Markup, ...]
    sections: tuple[SetSection, ...]


def write_report(
    evaluations: Sequence[Evaluation],
    sets: Sequence[DataSet],
    selection: ObjectSelection | None,
    path: str | Path,
) -> None:
    """Write the report to ``path``, atomically; see ``create_report``."""
    write_text_atomically(path, create_report(evaluations, sets, selection))


def create_report(evaluations: Sequence[Evaluation], sets: Sequence[DataSet], selection: ObjectSelection | None) -> str:
    """Make the page; with several starts each has a part of its own, folded away, below a table of all.

    Args:
        evaluations: One a start, by any protocol.
        sets: What they evaluated, for the pictures; those that are not there get none.
        selection: As it was evaluated; None where no objects were selected.

    Raises:
        DependencyError: jinja2 or matplotlib is not installed.
    """
    check_libraries()
    first = evaluations[0]
    figures = Figures()
    parts = [_part(evaluation, sets, selection, figures) for evaluation in evaluations]
    start = str(first.protocol["start"])
    return render(
        "report.html",
        first=first,
        objects=len({(r.set_name, r.case_id, r.object_name) for r in first.objects}),
        cases=sum(s.cases for s in first.sets),
        prompt=FIRST_PROMPTS.get(start, start_title(start)) if len(evaluations) == 1 else "",
        in_slices=selection is not None
        and selection.volumes == "slices"
        and any(s.dimensions == 3 for s in first.sets),
        notes=[n for spec in first.specs if (n := metric_note(first, spec, tolerance_words(first)))],
        overview=list(_overview(evaluations)) if len(evaluations) > 1 else [],
        parts_of_page=parts,
        facts=list(_facts(first)),
    )


def _part(evaluation: Evaluation, sets: Sequence[DataSet], selection: ObjectSelection | None, figures: Figures) -> Part:
    shown, by_name = shown_candidate(evaluation), {s.name: s for s in sets}
    sections = []
    for info in evaluation.sets:
        pictured = info.objects and selection is not None and info.name in by_name
        examples = pick_examples(evaluation, by_name[info.name], selection, shown) if pictured and selection else []
        results = _results(evaluation, info.name, figures) if info.objects else None
        sections.append(SetSection(info, results, tuple(examples)))
    return Part(
        evaluation,
        start_title(evaluation.start),
        shown,
        _results(evaluation, None, figures),
        tuple(_reliability(evaluation, figures)),
        tuple(sections),
    )


def _reliability(evaluation: Evaluation, figures: Figures) -> Iterator[Markup]:
    """Draw how far the models' own estimates of their predictions can be trusted; nothing where there are none."""
    colours = candidate_colours(evaluation.candidates)
    for candidate in evaluation.candidates:
        estimated, found = estimates(evaluation.objects, candidate.name)
        if estimated:
            yield figures.reliability(reliability(estimated, found), candidate.name, colours[candidate.name])


def _results(evaluation: Evaluation, set_name: str | None, figures: Figures) -> Results:
    summaries = [evaluation.summary(c.name, set_name) for c in evaluation.candidates]
    colours = candidate_colours(evaluation.candidates)
    start = str(evaluation.protocol["start"])
    return Results(
        tuple(
            (
                _table(evaluation, set_name, spec),
                figures.curves(summaries, spec, evaluation.heading(spec, set_name), colours, start),
            )
            for spec in evaluation.specs
        )
    )


def _table(evaluation: Evaluation, set_name: str | None, spec: MetricSpec) -> ScoreTable:
    """Compare the candidates on one dataset, or on the mean over all for None."""
    summaries = [evaluation.summary(c.name, set_name) for c in evaluation.candidates]
    colours = candidate_colours(evaluation.candidates)
    clicks = int(evaluation.protocol["clicks"])
    curves = [s.curves[spec.name] for s in summaries]
    best = [spec.best(values) for values in zip(*(c.values for c in curves), strict=True)]
    rows = []
    for summary, curve in zip(summaries, curves, strict=True):
        area = Cell("-" if curve.auc is None else spec.text(curve.auc))
        cells = (
            *_cells(curve, spec, best if len(summaries) > 1 else ()),
            area,
            Cell(f"{summary.seconds_per_answer:.3f}"),
        )
        rows.append(Row(summary.candidate, cells, _spreads(curve, spec), colours[summary.candidate]))
    rounds = (str(evaluation.protocol["start"]), *(f"+{n}" for n in range(1, clicks + 1)))
    return ScoreTable((evaluation.heading(spec, set_name), *rounds, "AUC", "s"), tuple(rows))


def _overview(evaluations: Sequence[Evaluation]) -> Iterator[tuple[str, list[ScoreTable]]]:
    """Compare the first prompts, for each candidate and metric in a table of means over sets."""
    for name in dict.fromkeys(c.name for e in evaluations for c in e.candidates):
        mine = [e for e in evaluations if any(c.name == name for c in e.candidates)]
        rounds = ("alone", *(f"+{n}" for n in range(1, int(mine[0].protocol["clicks"]) + 1)), "s")
        tables = []
        for spec in mine[0].specs:
            rows = []
            for evaluation in mine:
                summary = evaluation.summary(name, None)
                curve = summary.curves[spec.name]
                cells = (*_cells(curve, spec), Cell(f"{summary.seconds_per_answer:.3f}"))
                rows.append(Row(start_title(evaluation.start), cells, _spreads(curve, spec)))
            tables.append(ScoreTable((mine[0].heading(spec), *rounds), tuple(rows)))
        yield name, tables


def _cells(curve: Curve, spec: MetricSpec, best: Sequence[float] = ()) -> Iterator[Cell]:
    """Write a cell a round, with the interval in its title, the best of several candidates marked."""
    for n, value in enumerate(curve.values):
        title = ""
        if curve.intervals:
            low, high = (spec.text(end) for end in curve.intervals[n])
            title = f"95 % interval {low} to {high}"
        yield Cell(spec.text(value), title, bool(best) and value == best[n])


def _spreads(curve: Curve, spec: MetricSpec) -> tuple[str, ...]:
    return tuple(f"±{spec.text((i.high - i.low) / 2)}" for i in curve.intervals or ())


def _facts(evaluation: Evaluation) -> Iterator[tuple[str, str]]:
    """Tell what makes the evaluation repeatable, as terms and descriptions."""
    manifest = evaluation.manifest
    libraries = ", ".join(f"{n} {v}" for n, v in manifest.get("libraries", {}).items())
    yield "Command", str(manifest.get("command", ""))
    yield "Versions", f"bedside {manifest.get('bedside', '')}, Python {manifest.get('python', '')}, {libraries}"
    yield "Host", str(manifest.get("platform", ""))
    yield "Started", str(manifest.get("started", ""))
    yield "Seed", str(manifest.get("seed", ""))
    for spec in evaluation.specs:
        yield spec.title, spec.paper
    for candidate in evaluation.candidates:
        told = [f"{k.replace('_', ' ')} {v}" for k, v in candidate.details.items() if k != "capabilities"]
        yield candidate.name, f"{candidate.kind}{'; ' if told else ''}{', '.join(told)}"

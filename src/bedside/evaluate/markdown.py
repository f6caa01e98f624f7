"""An evaluation as Markdown tables that a page of documentation can take over as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bedside.core.markdown import markdown_table
from bedside.evaluate.metrics import MetricSpec
from bedside.evaluate.results import Evaluation, Summary
from bedside.evaluate.starts import start_title
from bedside.evaluate.statistics import Interval

SHOWN_CLICKS = (0, 1, 3, 5)
"""Numbers of corrections that tables show."""
SHORT = (("box", 0), ("point", 0), ("box", 3), ("scribble", 0))
"""Start and corrections of the four rows by which models are compared in one look."""
MEAN = "**mean over sets**"


def create_markdown(evaluations: Sequence[Evaluation]) -> str:
    """Write tables of the means over sets and of every set, with 95 % intervals of the means.

    Args:
        evaluations: One a start, of the same sets.

    Returns:
        Markdown in which names of datasets and models mean nothing but themselves.
    """
    first = evaluations[0]
    models = [c.name for e in evaluations for c in e.candidates]
    names = list(dict.fromkeys(models))
    blocks = [f"Made by `{first.manifest['command']}`. {_conditions(first)}"]
    for name in names:
        mine = [e for e in evaluations if any(c.name == name for c in e.candidates)]
        # Of a baseline the means are enough: it is there for comparison.
        kind = next(c.kind for c in mine[0].candidates if c.name == name)
        if len(names) > 1:
            blocks.append(f"### {escaped(name)}")
        blocks += _of_candidate(name, mine, sets=kind == "model")
    return "\n\n".join(blocks) + "\n"


def _conditions(evaluation: Evaluation) -> str:
    unit = tolerance_words(evaluation)
    objects = len({(o.set_name, o.case_id, o.object_name) for o in evaluation.objects})
    sets = [s.name for s in evaluation.sets if s.objects]
    source = f"{len(sets)} datasets" if len(sets) > 1 else f"the dataset {escaped(sets[0])}"
    # By the competition's rules a volume's classes are one result.
    what = "volumes" if evaluation.protocol["name"] == "interactive2025" else "objects"
    notes = [f"{objects} {what} of {source}; each correction is a click in the middle of the largest error left."]
    notes += [note for spec in evaluation.specs if (note := metric_note(evaluation, spec, unit))]
    return " ".join([*notes, "In brackets: 95 % intervals of the mean, by resampling cases within sets."])


def metric_note(evaluation: Evaluation, spec: MetricSpec, tolerance: str) -> str:
    """Return what a reader must know of a metric's values; "" for nothing.

    Args:
        evaluation: What the values are of.
        spec: The metric.
        tolerance: Tolerance of the surface distance, in words.
    """
    if spec.name == "nsd":
        return f"NSD at {tolerance}."
    if spec.direction == "higher":
        return ""
    units = sorted({o.unit for o in evaluation.objects})
    if not spec.is_length or len(units) < 2:
        return f"{spec.title}: lower is better."
    both = f"in {' or '.join(units)} by object: means over sets mix both, unless all is measured in pixels"
    return f"{spec.title}: lower is better; {both} (--tolerance-unit px)."


def tolerance_words(evaluation: Evaluation) -> str:
    """Write the tolerance of the surface distance with its unit."""
    tolerance, unit = f"{evaluation.protocol['tolerance']:g}", evaluation.protocol.get("unit")
    if unit == "auto":
        return f"{tolerance} mm, or {tolerance} pixels where the spacing is unknown or microscopic"
    return f"{tolerance} mm" if unit == "mm" else f"{tolerance} pixels"


def _of_candidate(name: str, evaluations: Sequence[Evaluation], *, sets: bool) -> Iterator[str]:
    first = evaluations[0]
    specs = first.specs
    if sets and (short := list(_short_rows(name, evaluations))):
        yield markdown_table(["prompt", *(first.heading(spec) for spec in specs)], short)
    clicks = _clicks(first)
    area = first.summary(name, None).curves[specs[0].name].auc is not None
    heads = ["alone" if n == 0 else f"+{n}" for n in clicks] + (["AUC"] if area else [])
    heads = [f"{first.heading(spec)} {heading}" for spec in specs for heading in heads]
    rows = []
    for evaluation in evaluations:
        summary = evaluation.summary(name, None)
        cells: list[str] = []
        for spec in specs:
            cells += [_value(summary, spec, n) for n in clicks]
            cells += [f"{summary.curves[spec.name].auc:.2f}"] if area else []
        rows.append([start_title(evaluation.start), *cells])
    yield markdown_table(["first prompt", *heads], rows)
    for spec in specs if sets else ():
        yield f"{spec.title} of each set:"
        yield markdown_table(*_by_set(name, evaluations, spec))


def _short_rows(name: str, evaluations: Sequence[Evaluation]) -> Iterator[list[str]]:
    by_start = {e.start: e for e in evaluations}
    for start, clicks in SHORT:
        evaluation = by_start.get(start)
        if evaluation is None or clicks not in _clicks(evaluation):
            continue
        title = start_title(start) + (f" + {clicks} clicks" if clicks else "")
        summary = evaluation.summary(name, None)
        yield [title, *(_value(summary, spec, clicks) for spec in evaluation.specs)]


def _by_set(name: str, evaluations: Sequence[Evaluation], spec: MetricSpec) -> tuple[list[str], list[list[str]]]:
    """Make headings and rows: each start alone and after three corrections (or as many as there are)."""
    clicks = _clicks(evaluations[0])
    later = [n for n in clicks if 0 < n <= 3][-1:]
    columns = [(e, n) for e in evaluations for n in (0, *later)]
    heads = [e.start if n == 0 else f"+{n}" for e, n in columns]

    def scores(set_name: str | None) -> list[str]:
        return [spec.text(e.summary(name, set_name).curves[spec.name].values[n]) for e, n in columns]

    rows = []
    for info in evaluations[0].sets:
        if info.objects:
            title = escaped(info.name) + _unit(evaluations[0], spec, info.name)
            rows.append([title, str(info.objects), *scores(info.name)])
    rows.append([MEAN, str(sum(s.objects for s in evaluations[0].sets)), *scores(None)])
    return ["dataset", "objects", *heads], rows


def _unit(evaluation: Evaluation, spec: MetricSpec, set_name: str) -> str:
    """Name the unit of a set's distances; "" for what is none."""
    units = {o.unit for o in evaluation.objects if o.set_name == set_name}
    return f" ({' or '.join(sorted(units))})" if spec.is_length else ""


def _clicks(evaluation: Evaluation) -> list[int]:
    return [n for n in SHOWN_CLICKS if n <= int(evaluation.protocol["clicks"])]


def _value(summary: Summary, spec: MetricSpec, clicks: int) -> str:
    curve = summary.curves[spec.name]
    text = spec.text(curve.values[clicks])
    return f"{text} {bracketed(curve.intervals[clicks], spec)}" if curve.intervals else text


def bracketed(interval: Interval, spec: MetricSpec) -> str:
    """Write an interval as it stands behind a mean, "(0.79-0.83)"."""
    return f"({spec.text(interval.low)}-{spec.text(interval.high)})"


def escaped(text: str) -> str:
    """Write a name so that Markdown, and the HTML in it, take it for nothing else."""
    return "".join(f"&#{ord(c)};" if c in "<>&|" else f"\\{c}" if c in "\\`*[]" else c for c in " ".join(text.split()))

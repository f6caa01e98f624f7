"""An evaluation as Markdown tables that a page of documentation can take over as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bedside.evaluate.results import Evaluation, Summary
from bedside.evaluate.starts import start_title
from bedside.evaluate.statistics import Interval

SHOWN_CLICKS = (0, 1, 3, 5)
"""Numbers of corrections that tables show."""
SHORT = (("box", 0), ("point", 0), ("box", 3), ("scribble", 0))
"""Start and corrections of the four rows by which models are compared in one look."""
MEAN = "**mean over sets**"


def create_markdown(evaluations: Sequence[Evaluation]) -> str:
    """Tables of the means over sets and of every set, with 95 % intervals of the means.

    Args:
        evaluations: One a start, of the same sets.
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
            blocks.append(f"### {name}")
        blocks += _of_candidate(name, mine, sets=kind == "model")
    return "\n\n".join(blocks) + "\n"


def _conditions(evaluation: Evaluation) -> str:
    tolerance = f"{evaluation.protocol['tolerance']:g}"
    unit = f"{tolerance} pixels"
    if evaluation.protocol.get("unit") == "mm":
        unit = f"{tolerance} mm"
    elif evaluation.protocol["unit"] == "auto":
        unit = f"{tolerance} mm, or {tolerance} pixels where the spacing is unknown or microscopic"
    objects = len({(o.set_name, o.case_id, o.object_name) for o in evaluation.objects})
    sets = [s.name for s in evaluation.sets if s.objects]
    source = f"{len(sets)} data sets" if len(sets) > 1 else f"the data set {sets[0]}"
    # By the competition's rules a volume's classes are one result.
    what = "volumes" if evaluation.protocol["name"] == "interactive2025" else "objects"
    return (
        f"{objects} {what} of {source}; each correction is a click in the middle of the largest error left. "
        f"NSD at {unit}. In brackets: 95 % intervals of the mean, by resampling cases within sets."
    )


def _of_candidate(name: str, evaluations: Sequence[Evaluation], *, sets: bool) -> Iterator[str]:
    metrics = evaluations[0].metrics
    if sets and (short := list(_short_rows(name, evaluations))):
        yield _table(["prompt", *(m.upper() for m in metrics)], short)
    clicks = _clicks(evaluations[0])
    area = evaluations[0].summary(name, None).curves[metrics[0]].auc is not None
    heads = ["alone" if n == 0 else f"+{n}" for n in clicks] + (["AUC"] if area else [])
    heads = [f"{metric.upper()} {heading}" for metric in metrics for heading in heads]
    rows = []
    for evaluation in evaluations:
        summary = evaluation.summary(name, None)
        cells: list[str] = []
        for metric in metrics:
            cells += [_value(summary, metric, n) for n in clicks]
            cells += [f"{summary.curves[metric].auc:.2f}"] if area else []
        rows.append([start_title(evaluation.start), *cells])
    yield _table(["first prompt", *heads], rows)
    for metric in metrics if sets else ():
        yield f"{metric.upper()} of each set:"
        yield _table(*_by_set(name, evaluations, metric))


def _short_rows(name: str, evaluations: Sequence[Evaluation]) -> Iterator[list[str]]:
    by_start = {e.start: e for e in evaluations}
    for start, clicks in SHORT:
        evaluation = by_start.get(start)
        if evaluation is None or clicks not in _clicks(evaluation):
            continue
        title = start_title(start) + (f" + {clicks} clicks" if clicks else "")
        summary = evaluation.summary(name, None)
        yield [title, *(_value(summary, m, clicks) for m in evaluation.metrics)]


def _by_set(name: str, evaluations: Sequence[Evaluation], metric: str) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: each start alone and after three corrections (or as many as there are)."""
    clicks = _clicks(evaluations[0])
    later = [n for n in clicks if 0 < n <= 3][-1:]
    columns = [(e, n) for e in evaluations for n in (0, *later)]
    heads = [e.start if n == 0 else f"+{n}" for e, n in columns]
    rows = []
    for info in evaluations[0].sets:
        if info.objects:
            cells = [f"{e.summary(name, info.name).curves[metric].values[n]:.3f}" for e, n in columns]
            rows.append([info.name, str(info.objects), *cells])
    means = [f"{e.summary(name, None).curves[metric].values[n]:.3f}" for e, n in columns]
    rows.append([MEAN, str(sum(s.objects for s in evaluations[0].sets)), *means])
    return ["data set", "objects", *heads], rows


def _clicks(evaluation: Evaluation) -> list[int]:
    return [n for n in SHOWN_CLICKS if n <= int(evaluation.protocol["clicks"])]


def _value(summary: Summary, metric: str, clicks: int) -> str:
    curve = summary.curves[metric]
    text = f"{curve.values[clicks]:.3f}"
    return f"{text} {bracketed(curve.intervals[clicks])}" if curve.intervals else text


def bracketed(interval: Interval) -> str:
    """An interval as it stands behind a mean, "(0.79-0.83)"."""
    return f"({interval.low:.3f}-{interval.high:.3f})"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [_line(heads), "|" + "---|" * len(heads), *(_line(row) for row in rows)]
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"

"""The evaluation as one HTML page that needs no other file: tables, curves, and pictures of cases."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from bedside.core.files import write_text_atomically
from bedside.data.catalogue import DataSet
from bedside.evaluate.calibration import estimates, reliability
from bedside.evaluate.cases import ObjectSelection, prepare_case
from bedside.evaluate.curves import draw_curves
from bedside.evaluate.pictures import ObjectPicture, data_uri, draw_object
from bedside.evaluate.reliability import draw_reliability
from bedside.evaluate.results import Curve, Evaluation, ObjectResult, SetInfo, Summary
from bedside.evaluate.starts import start_title
from bedside.evaluate.style import STYLE, candidate_classes


@dataclass(frozen=True)
class Example:
    """A case worth a picture.

    Attributes:
        rank: "worst", "median" or "best"; "only" where the set has one case.
        case_score: Mean of the case's objects after the last click.
        result: The object of the case whose score is nearest to that mean.
        picture: Of that object.
    """

    rank: str
    case_score: float
    result: ObjectResult
    picture: ObjectPicture


def write_report(
    evaluations: Sequence[Evaluation], sets: Sequence[DataSet], selection: ObjectSelection, path: str | Path
) -> None:
    """Write the report to ``path``, atomically.

    Args:
        evaluations: From ``evaluate_starts``, one a start.
        sets: What they evaluated, for the pictures.
        selection: As it was evaluated.
        path: An HTML file.
    """
    write_text_atomically(path, create_report(evaluations, sets, selection))


def create_report(evaluations: Sequence[Evaluation], sets: Sequence[DataSet], selection: ObjectSelection) -> str:
    """The page as text; with several starts each has a part of its own, folded away, below a table of all."""
    first = evaluations[0]
    several = len(evaluations) > 1
    body: list[str] = list(_head(evaluations))
    if several:
        body.append(_overview(evaluations))
    for evaluation in evaluations:
        part = [*_mean_section(evaluation), *_sections(evaluation, sets, selection, several)]
        if several:
            title = escape(start_title(evaluation.start))
            part = [f"<details><summary><h2>{title}</h2></summary>", *part, "</details>"]
        body += part
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Bedside evaluation</title><style>{STYLE}</style></head><body><main>",
            *body,
            *_foot(first),
            "</main></body></html>",
            "",
        ]
    )


def _sections(
    evaluation: Evaluation, sets: Sequence[DataSet], selection: ObjectSelection, several: bool
) -> Iterator[str]:
    """One section a set, with its pictures."""
    shown = shown_candidate(evaluation)
    by_name = {s.name: s for s in sets}
    prefix = f"{evaluation.start}-" if several else ""
    for info in evaluation.sets:
        examples = pick_examples(evaluation, by_name[info.name], selection, shown) if info.objects else []
        yield _section(evaluation, info, examples, shown, prefix)


def shown_candidate(evaluation: Evaluation) -> str:
    """Whose answers are pictured: the first model's, or the first baseline's where there is no model."""
    return next((c for c in evaluation.candidates if c.kind == "model"), evaluation.candidates[0]).name


def pick_examples(
    evaluation: Evaluation, data_set: DataSet, selection: ObjectSelection, candidate: str
) -> list[Example]:
    """Worst, median and best case of a set by the first metric after the last click; fewer where cases are few."""
    metric = evaluation.metrics[0]
    results = [r for r in evaluation.objects if r.set_name == data_set.name and r.candidate == candidate]
    scores = {
        case_id: float(np.mean([r.curve(metric)[-1] for r in results if r.case_id == case_id]))
        for case_id in {r.case_id for r in results}
    }
    ranked = sorted(scores, key=lambda case_id: (scores[case_id], case_id))
    last = len(ranked) - 1
    ranks = {"worst": 0, "median": last // 2, "best": last} if last >= 2 else {"worst": 0, "best": last}
    if last == 0:
        ranks = {"only": 0}
    cases = {case.id: case for case in data_set.cases}
    examples = []
    for rank, place in ranks.items():
        case_id = ranked[place]
        mine = [r for r in results if r.case_id == case_id]
        result = min(mine, key=lambda r: abs(r.curve(metric)[-1] - scores[case_id]))
        prepared = prepare_case(data_set, cases[case_id], selection)
        view, target = next((v, o) for v in prepared.views for o in v.objects if o.name == result.object_name)
        if result.trace is not None:
            examples.append(Example(rank, scores[case_id], result, draw_object(view, target, result.trace)))
    return examples


def _head(evaluations: Sequence[Evaluation]) -> Iterator[str]:
    evaluation = evaluations[0]
    protocol = evaluation.protocol
    objects = len({(r.set_name, r.case_id, r.object_name) for r in evaluation.objects})
    cases = sum(s.cases for s in evaluation.sets)
    first = {"box": "tight box", "point": "click at the object's centre"}.get(protocol["start"], protocol["start"])
    given = f"a {escape(str(first))}" if len(evaluations) == 1 else "one of the first prompts below"
    yield "<header><h1>Evaluation</h1>"
    yield (
        f"<p class=lead>{objects} objects in {cases} cases of {len(evaluation.sets)} data sets. Each object is given "
        f"{given}, then up to {protocol['clicks']} corrective clicks, each at the centre of the largest "
        "error that is left. The mean is taken over the objects of a case, the cases of a set, and the sets.</p>"
    )
    volumes = protocol["objects"]["volumes"]
    if volumes == "slices" and any(s.dimensions == 3 for s in evaluation.sets):
        yield "<p>Volumes: each object is evaluated in the slice where it is largest, as a 2D image.</p>"
    most = f", at most {protocol['clicks'] - 1}" if protocol["clicks"] > 1 else ""
    tolerance = f"{protocol['tolerance']:g} pixels"
    if protocol["unit"] == "auto":
        tolerance = f"{protocol['tolerance']:g} mm, or of {tolerance} where the spacing is unknown or microscopic"
    yield (
        "<p>DSC: Dice similarity coefficient. NSD: normalised surface distance at a tolerance of "
        f"{tolerance}. AUC: trapezoids over the rounds with clicks{most}. Small figures: half the width of the 95 % "
        "interval, by resampling cases (within each set for the mean over sets).</p></header>"
    )


def _overview(evaluations: Sequence[Evaluation]) -> str:
    """Means over sets of every start, for each candidate a table."""
    names = dict.fromkeys(c.name for e in evaluations for c in e.candidates)
    tables = []
    for name in names:
        mine = [e for e in evaluations if any(c.name == name for c in e.candidates)]
        for metric in mine[0].metrics:
            heads = [metric.upper(), "alone", *(f"+{n}" for n in range(1, int(mine[0].protocol["clicks"]) + 1)), "s"]
            rows = "".join(_overview_row(e.summary(name, None), metric, start_title(e.start)) for e in mine)
            head = "".join(f"<th scope=col>{escape(h)}</th>" for h in heads)
            table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
            tables.append(f"<div class=tables><h3>{escape(name)}</h3>{table}</div>")
    return f"<section><h2>First prompts side by side: mean over data sets</h2>{''.join(tables)}</section>"


def _overview_row(summary: Summary, metric: str, title: str) -> str:
    cells = "".join(_scores(summary.curves[metric]))
    return f"<tr><th scope=row>{escape(title)}</th>{cells}<td>{summary.seconds_per_answer:.3f}</td></tr>" + _spread(
        summary.curves[metric], 1
    )


def _mean_section(evaluation: Evaluation) -> Iterator[str]:
    yield "<section><h2>Mean over data sets</h2>"
    yield _results(evaluation, None)
    yield "</section>"
    yield from _estimates(evaluation)


def _estimates(evaluation: Evaluation) -> Iterator[str]:
    """How far the models' own estimates of their answers can be trusted; nothing where there are none."""
    classes = candidate_classes(evaluation.candidates)
    plots = []
    for candidate in evaluation.candidates:
        estimated, found = estimates(evaluation.objects, candidate.name)
        if estimated:
            plots.append(draw_reliability(reliability(estimated, found), candidate.name, classes[candidate.name]))
    if plots:
        yield "<section><h2>Estimated quality</h2><p>The model estimates the DSC of each of its answers from its own "
        yield "probabilities. Each dot gathers answers of similar estimates, from every round; on the dashed line "
        yield f"estimates are right.</p><div class=curves>{''.join(plots)}</div></section>"


def _section(evaluation: Evaluation, info: SetInfo, examples: Sequence[Example], shown: str, prefix: str) -> str:
    parts = [
        f'<section id="{escape(prefix + info.name)}"><h2>{escape(info.name)}</h2>',
        f"<p class=facts>{escape(info.modality)} · {info.dimensions}D · {info.cases} cases · {info.objects} objects"
        + (f" · {info.tiny} too small" if info.tiny else "")
        + (f" · {info.left_out} beyond the limit of a case" if info.left_out else "")
        + f" · {escape(info.licence)}</p>",
    ]
    if not info.objects:
        parts.append("<p>No object is large enough.</p>")
    else:
        parts.append(_results(evaluation, info.name))
    if examples:
        parts.append(f"<h3>{escape(shown)}: {', '.join(e.rank for e in examples)} case</h3><div class=examples>")
        parts += [_example(e, evaluation, f"{prefix}{info.name}-{e.rank}") for e in examples]
        parts.append("</div>")
    parts.append("</section>")
    return "".join(parts)


def _results(evaluation: Evaluation, set_name: str | None) -> str:
    summaries = [evaluation.summary(c.name, set_name) for c in evaluation.candidates]
    classes = candidate_classes(evaluation.candidates)
    curves = "".join(
        draw_curves(summaries, metric, classes, evaluation.protocol["start"]) for metric in evaluation.metrics
    )
    tables = "".join(_table(evaluation, summaries, metric, classes) for metric in evaluation.metrics)
    return f"<div class=results><div class=tables>{tables}</div><div class=curves>{curves}</div></div>"


def _table(evaluation: Evaluation, summaries: Sequence[Summary], metric: str, classes: Mapping[str, str]) -> str:
    clicks = int(evaluation.protocol["clicks"])
    heads = [str(evaluation.protocol["start"]), *(f"+{n}" for n in range(1, clicks + 1)), "AUC", "s"]
    best = [max(s.curves[metric].values[n] for s in summaries) for n in range(clicks + 1)]
    rows = []
    for summary in summaries:
        curve = summary.curves[metric]
        cells = list(_scores(curve, best if len(summaries) > 1 else None))
        cells.append(f"<td>{'-' if curve.auc is None else f'{curve.auc:.3f}'}</td>")
        cells.append(f"<td>{summary.seconds_per_answer:.3f}</td>")
        dot = f'<i class="key {classes[summary.candidate]}"></i>'
        rows.append(f"<tr><th scope=row>{dot}{escape(summary.candidate)}</th>{''.join(cells)}</tr>")
        rows.append(_spread(curve, 2))
    head = "".join(f"<th scope=col>{escape(h)}</th>" for h in (metric.upper(), *heads))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _scores(curve: Curve, best: Sequence[float] | None = None) -> Iterator[str]:
    """A cell a round, the interval in its title, the best of several candidates marked."""
    for n, value in enumerate(curve.values):
        spread = ""
        if curve.intervals:
            spread = f"95 % interval {curve.intervals[n].low:.3f} to {curve.intervals[n].high:.3f}"
        mark = " class=best" if best is not None and value == best[n] else ""
        yield f'<td{mark} title="{spread}">{value:.3f}</td>'


def _spread(curve: Curve, empty: int) -> str:
    """The row of half widths below a row of means, with ``empty`` cells after them; nothing without intervals."""
    if not curve.intervals:
        return ""
    spreads = "".join(f"<td>±{(i.high - i.low) / 2:.3f}</td>" for i in curve.intervals)
    return f"<tr class=spread><th></th>{spreads}{'<td></td>' * empty}</tr>"


def _example(example: Example, evaluation: Evaluation, identifier: str) -> str:
    picture, result = example.picture, example.result
    metric = evaluation.metrics[0]
    curve = result.curve(metric)
    used = len(result.trace.prompts) - 1 if result.trace else 0
    extent = f'width="{picture.width}" height="{picture.height}"'
    image = f'<image id="{escape(identifier)}" href="{data_uri(picture.image)}" {extent}/>'
    # The second picture shows the first one's image again without holding it twice.
    again = f'<use href="#{escape(identifier)}"/>'
    panels = []
    for base, outlines, marks, score, when in (
        (image, picture.first, picture.first_marks, curve[0], str(evaluation.protocol["start"])),
        (again, picture.last, picture.last_marks, curve[-1], f"{used} click{'s' if used != 1 else ''} later"),
    ):
        overlay = f'<image href="{data_uri(outlines)}" {extent}/>'
        label = f"{when}: {metric.upper()} {score:.3f}"
        panels.append(
            f'<figure><svg viewBox="0 0 {picture.width} {picture.height}" {extent} role="img" '
            f'aria-label="{escape(label)}">{base}{overlay}{marks}</svg>'
            f"<figcaption>{escape(label)}</figcaption></figure>"
        )
    return (
        f"<article><h4>{example.rank}: {escape(result.case_id)}</h4>"
        f"<p class=facts>case {metric.upper()} {example.case_score:.3f} · object {escape(result.object_name)}</p>"
        f"<div class=panels>{''.join(panels)}</div></article>"
    )


def _foot(evaluation: Evaluation) -> Iterator[str]:
    manifest = evaluation.manifest
    yield "<footer><p class=legend>In pictures: <i class=truth></i> truth <i class=answer></i> answer "
    yield "<i class=positive></i> click on the object <i class=negative></i> click beside it, dashed: the box.</p>"
    yield "<dl>"
    libraries = ", ".join(f"{n} {v}" for n, v in manifest.get("libraries", {}).items())
    rows = [
        ("Command", manifest.get("command", "")),
        ("Versions", f"bedside {manifest.get('bedside', '')}, Python {manifest.get('python', '')}, {libraries}"),
        ("Host", manifest.get("platform", "")),
        ("Started", manifest.get("started", "")),
        ("Seed", manifest.get("seed", "")),
    ]
    for candidate in evaluation.candidates:
        told = [f"{k.replace('_', ' ')} {v}" for k, v in candidate.details.items() if k != "capabilities"]
        rows.append((candidate.name, f"{candidate.kind}{'; ' if told else ''}{', '.join(told)}"))
    for term, value in rows:
        yield f"<dt>{escape(term)}</dt><dd>{escape(str(value))}</dd>"
    yield "</dl><p>Not a medical device.</p></footer>"

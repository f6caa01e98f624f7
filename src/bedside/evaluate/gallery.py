"""Pictures of the cases in which a model does worst, middling and best, as files of a folder with one page of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from bedside.core.errors import InputError
from bedside.core.files import write_text_atomically
from bedside.data.catalogue import DataSet
from bedside.evaluate.cases import ObjectSelection
from bedside.evaluate.pictures import data_uri
from bedside.evaluate.report import Example, pick_examples, shown_candidate
from bedside.evaluate.results import Evaluation
from bedside.evaluate.starts import start_title
from bedside.evaluate.style import STYLE

GAP, CAPTION = 8, 34
RANKS = ("worst", "only", "median", "best")


def write_gallery(
    evaluations: Sequence[Evaluation], sets: Sequence[DataSet], selection: ObjectSelection, folder: Path
) -> list[Path]:
    """Write ``<set>-<start>-<rank>.svg`` for every set and start, and ``index.html`` that shows them, worst first.

    The pictures hold parts of the data sets' images: whoever passes them on passes those on.

    Args:
        evaluations: From ``evaluate_starts``, one a start.
        sets: What they evaluated.
        selection: As it was evaluated.
        folder: Made where it is missing.

    Returns:
        The files written, the page last.

    Raises:
        InputError: ``folder`` is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError("gallery", expected="a folder", got=f"the file {folder}")
    by_name = {s.name: s for s in sets}
    shown: list[tuple[Evaluation, Example, Path]] = []
    for evaluation in evaluations:
        candidate = shown_candidate(evaluation)
        for info in evaluation.sets:
            for example in pick_examples(evaluation, by_name[info.name], selection, candidate) if info.objects else []:
                path = folder / f"{info.name}-{evaluation.start}-{example.rank}.svg"
                write_text_atomically(path, draw_example(evaluation, example))
                shown.append((evaluation, example, path))
    page = folder / "index.html"
    write_text_atomically(page, "\n".join(_page(evaluations[0], shown)) + "\n")
    return [*(path for _, _, path in shown), page]


def draw_example(evaluation: Evaluation, example: Example) -> str:
    """An example as one SVG: after the first prompt on the left, after the last correction on the right."""
    picture, result = example.picture, example.result
    curve = result.curve(evaluation.metrics[0])
    clicks = len(result.trace.prompts) - 1 if result.trace else 0
    metric = evaluation.metrics[0].upper()
    panels = []
    for number, (outlines, marks, score, when) in enumerate(
        (
            (picture.first, picture.first_marks, curve[0], start_title(evaluation.start)),
            (picture.last, picture.last_marks, curve[-1], f"{clicks} click{'' if clicks == 1 else 's'} later"),
        )
    ):
        left = number * (picture.width + GAP)
        extent = f'width="{picture.width}" height="{picture.height}"'
        panels.append(
            f'<svg x="{left}" {extent}><image href="{data_uri(picture.image)}" {extent}/>'
            f'<image href="{data_uri(outlines)}" {extent}/>{marks}</svg>'
            f'<text x="{left}" y="{picture.height + 14}">{escape(when)}</text>'
            f'<text x="{left}" y="{picture.height + 28}">{metric} {score:.3f}</text>'
        )
    width, height = 2 * picture.width + GAP, picture.height + CAPTION
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="12" fill="#888">{"".join(panels)}</svg>\n'
    )


def _page(first: Evaluation, shown: Sequence[tuple[Evaluation, Example, Path]]) -> Iterator[str]:
    yield '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    yield f"<title>Bedside gallery</title><style>{STYLE}</style></head><body><main>"
    yield "<header><h1>Gallery</h1><p class=lead>The case of each data set and first prompt in which the model does "
    yield "worst, the one in the middle, and its best; lowest scores first. Cyan is the truth, yellow the answer.</p>"
    yield f"<p>Made by <code>{escape(str(first.manifest['command']))}</code></p></header>"
    for rank in RANKS:
        mine = sorted((s for s in shown if s[1].rank == rank), key=lambda s: s[1].case_score)
        if not mine:
            continue
        yield f"<section><h2>{rank} case</h2><div class=examples>"
        for evaluation, example, path in mine:
            name = escape(f"{example.result.set_name}: {start_title(evaluation.start)}")
            about = f"{evaluation.metrics[0].upper()} of the case {example.case_score:.3f}"
            yield f"<figure><h4>{name}</h4><img src='{escape(path.name)}' alt='{name}, {rank} case'>"
            yield f"<figcaption>{escape(example.result.case_id)}, {about}</figcaption></figure>"
        yield "</div></section>"
    yield "</main></body></html>"

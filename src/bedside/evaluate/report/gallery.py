"""Pictures of the cases in which a model does worst, middling and best, as files of a folder with one page of all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bedside.core.errors import InputError
from bedside.core.files import write_text_atomically
from bedside.data.catalogue import DataSet
from bedside.evaluate.cases import ObjectSelection
from bedside.evaluate.report.examples import RANKS, Example, pick_examples, shown_candidate, worst_first
from bedside.evaluate.report.templating import check_libraries, render
from bedside.evaluate.results import Evaluation
from bedside.evaluate.starts import start_title

GAP, CAPTION = 8, 34


@dataclass(frozen=True)
class GalleryPicture:
    """A picture in the gallery.

    Attributes:
        title: Dataset and first prompt.
        about: Case and score.
        example: What it shows.
        path: Its file.
    """

    title: str
    about: str
    example: Example
    path: Path


def write_gallery(
    evaluations: Sequence[Evaluation], sets: Sequence[DataSet], selection: ObjectSelection, folder: Path
) -> list[Path]:
    """Write ``<set>-<start>-<rank>.svg`` for every set and start, and ``index.html`` that shows them, worst first.

    The pictures hold parts of the datasets' images: whoever passes them on passes those on.

    Args:
        evaluations: From ``evaluate_starts``, one a start.
        sets: What they evaluated.
        selection: As it was evaluated.
        folder: Made where it is missing.

    Returns:
        The files written, the page last.

    Raises:
        InputError: ``folder`` is a file.
        DependencyError: jinja2 or matplotlib is not installed.
    """
    check_libraries()
    if folder.exists() and not folder.is_dir():
        raise InputError("gallery", expected="a folder", got=f"the file {folder}")
    by_name = {s.name: s for s in sets}
    stems = dict(zip(by_name, file_stems(by_name), strict=True))
    spec = evaluations[0].specs[0]
    shown: list[GalleryPicture] = []
    for evaluation in evaluations:
        candidate = shown_candidate(evaluation)
        for info in evaluation.sets:
            for example in pick_examples(evaluation, by_name[info.name], selection, candidate) if info.objects else []:
                path = folder / f"{stems[info.name]}-{evaluation.start}-{example.rank}.svg"
                write_text_atomically(path, draw_example(evaluation, example))
                title = f"{info.name}: {start_title(evaluation.start)}"
                score = f"{evaluation.heading(spec, info.name)} of the case {spec.text(example.case_score)}"
                shown.append(GalleryPicture(title, f"{example.result.case_id}, {score}", example, path))
    shown.sort(key=lambda s: worst_first(s.example.case_score, spec.direction))
    groups = [(rank, [s for s in shown if s.example.rank == rank]) for rank in RANKS]
    page = folder / "index.html"
    command = str(evaluations[0].manifest["command"])
    write_text_atomically(page, render("gallery.html", command=command, groups=[g for g in groups if g[1]]))
    return [*(s.path for s in shown), page]


def draw_example(evaluation: Evaluation, example: Example) -> str:
    """Draw an example as one SVG: after the first prompt on the left, after the last correction on the right."""
    spec, picture = evaluation.specs[0], example.picture
    heading = evaluation.heading(spec, example.result.set_name)
    scores = [f"{heading} {spec.text(example.result.curve(spec.name)[n])}" for n in (0, -1)]
    return render(
        "example.svg",
        picture=picture,
        captions=[(start_title(evaluation.start), scores[0]), (example.later, scores[1])],
        gap=GAP,
        width=2 * picture.width + GAP,
        height=picture.height + CAPTION,
    )


def file_stems(names: Iterable[str]) -> list[str]:
    """Make names of files of names of datasets, whatever stands in those; no two are the same."""
    stems: list[str] = []
    for name in names:
        stem = re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "_"
        while stem.lower() in (s.lower() for s in stems):
            stem += "_"
        stems.append(stem)
    return stems

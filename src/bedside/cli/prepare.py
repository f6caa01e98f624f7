"""``bedside prepare``: images and label maps to cases of the challenges, what was annotated to training data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from bedside.cli.export import DoneOption, FolderOption, NameOption, WorkspaceArgument, chosen, opened_workspace, tell
from bedside.core.errors import InputError

if TYPE_CHECKING:
    from bedside.challenge.cases import Preparation
    from bedside.challenge.intensity import IntensityWindow

Value = TypeVar("Value")

prepare = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    help="Make cases of the challenges (.npz) from images and label maps, or training data of what was annotated.",
    no_args_is_help=True,
)

ImagesArgument = Annotated[
    Path, typer.Argument(metavar="IMAGES", help="Image file, DICOM folder, or folder of images.")
]
LabelsArgument = Annotated[
    Path, typer.Argument(metavar="LABELS", help="Label file, or folder of label files with the images' names.")
]
OutputArgument = Annotated[Path, typer.Argument(metavar="OUTPUT_DIR", help="Folder for the cases.")]
ModalityOption = Annotated[str, typer.Option("--modality", help="As file names say it: CT, MR, PET, US, X-Ray, ...")]
DataSetOption = Annotated[str, typer.Option("--data-set", metavar="NAME", help="Second part of file names.")]
WindowOption = Annotated[str, typer.Option("--window", help="CT window: abdomen, lung, brain or mediastinum.")]
LevelOption = Annotated[float | None, typer.Option("--window-level", metavar="HU", help="Instead of --window.")]
WidthOption = Annotated[float | None, typer.Option("--window-width", metavar="HU", help="Instead of --window.")]
CleaningOption = Annotated[
    str, typer.Option("--cleaning", help="Small parts removed: 2024 (1000 voxels, 100 pixels), 2025 (100, 10) or none.")
]
DropOption = Annotated[
    list[int], typer.Option("--drop", metavar="LABEL", help="Label to leave out (officially 12). Repeatable.")
]
InstancesOption = Annotated[
    int | None, typer.Option("--instances", metavar="LABEL", help="Label whose connected parts are objects each.")
]
AllSlicesOption = Annotated[bool, typer.Option("--all-slices", help="Keep slices without a label, too.")]
NoBoxesOption = Annotated[bool, typer.Option("--no-boxes", help="Write no boxes.")]
TruthOption = Annotated[
    Path | None, typer.Option("--truth", metavar="DIR", help="Keep the truth (gts) in this folder, out of the cases.")
]
SeriesOption = Annotated[str | None, typer.Option("--series", help="DICOM series: number, description or UID.")]


@prepare.command("box2024", short_help="Make cases of 2024: with boxes, 2D and 3D.")
def box2024(
    images: ImagesArgument,
    labels: LabelsArgument,
    output: OutputArgument,
    modality: ModalityOption,
    data_set: DataSetOption = "data",
    window: WindowOption = "abdomen",
    window_level: LevelOption = None,
    window_width: WidthOption = None,
    cleaning: CleaningOption = "2024",
    drop: DropOption = [],  # noqa: B006
    instances: InstancesOption = None,
    all_slices: AllSlicesOption = False,
    no_boxes: NoBoxesOption = False,
    cut_off: Annotated[bool, typer.Option("--cut-off", help="Cut grey 2D images at percentiles.")] = False,
    truth: TruthOption = None,
    series: SeriesOption = None,
) -> None:
    """Cases of the CVPR 2024 challenge: 2D images or volumes with tight boxes, or without for training."""
    from bedside.challenge.cases import Preparation
    from bedside.challenge.labels import CLEANINGS

    preparation = Preparation(
        form="box2024",
        modality=modality,
        data_set=data_set,
        window=_window(window, window_level, window_width),
        cleaning=_choice("--cleaning", cleaning, CLEANINGS),
        dropped=tuple(drop),
        instances=instances,
        labelled_only=not all_slices,
        boxes=not no_boxes,
        cut_off=cut_off,
    )
    _prepare(images, labels, output, truth, series, preparation)


@prepare.command("interactive2025", short_help="Make cases of 2025: volumes, with boxes.")
def interactive2025(
    images: ImagesArgument,
    labels: LabelsArgument,
    output: OutputArgument,
    modality: ModalityOption,
    data_set: DataSetOption = "data",
    window: WindowOption = "abdomen",
    window_level: LevelOption = None,
    window_width: WidthOption = None,
    cleaning: CleaningOption = "none",
    drop: DropOption = [],  # noqa: B006
    instances: InstancesOption = None,
    all_slices: AllSlicesOption = False,
    no_boxes: NoBoxesOption = False,
    seed: Annotated[int, typer.Option("--seed", help="Of the boxes' enlargement.")] = 2025,
    truth: TruthOption = None,
    series: SeriesOption = None,
) -> None:
    """Cases of the CVPR 2025 competition: volumes with boxes by the official generator, or without."""
    from bedside.challenge.cases import Preparation
    from bedside.challenge.labels import CLEANINGS

    preparation = Preparation(
        form="interactive2025",
        modality=modality,
        data_set=data_set,
        window=_window(window, window_level, window_width),
        cleaning=_choice("--cleaning", cleaning, CLEANINGS),
        dropped=tuple(drop),
        instances=instances,
        labelled_only=not all_slices,
        boxes=not no_boxes,
        seed=seed,
    )
    _prepare(images, labels, output, truth, series, preparation)


def _choice(option: str, value: str, choices: Mapping[str, Value]) -> Value:
    if value not in choices:
        raise InputError(option, expected=f"one of {', '.join(choices)}", got=f"'{value}'")
    return choices[value]


def _window(name: str, level: float | None, width: float | None) -> IntensityWindow:
    """Return the window called ``name``, with whatever of it is given as numbers."""
    from bedside.challenge.intensity import WINDOWS, IntensityWindow

    named = _choice("--window", name, WINDOWS)
    return IntensityWindow(named.level if level is None else level, named.width if width is None else width)


def _prepare(
    images: Path, labels: Path, output: Path, truth: Path | None, series: str | None, preparation: Preparation
) -> None:
    from rich.console import Console

    from bedside.challenge.cases import make_case
    from bedside.challenge.pairs import find_pairs
    from bedside.challenge.writing import write_case
    from bedside.evaluate.runner import progress_bar

    for folder in (output, truth):
        if folder is not None and folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}", expected="a folder to write to", got="a file")
    if truth is not None and truth.resolve() == output.resolve():
        raise InputError("--truth", expected="another folder than that of the cases", got=str(truth))
    pairs = find_pairs(images, labels)
    with progress_bar(Console(stderr=True), len(pairs)) as advance:
        for pair in pairs:
            image, mask = pair.load(series=series)
            case = make_case(pair.name, image, mask, preparation)
            file = f"{case.name}.npz"
            write_case(output / file, case, truth / file if truth is not None else None)
            advance(pair.name)
    print(f"{len(pairs)} cases in {output}")


@prepare.command("training", short_help="Make data sets of what was annotated, for bedside train.")
def training(
    workspace: WorkspaceArgument = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", metavar="DIR", help="Folder of data sets.")] = None,
    folder: FolderOption = None,
    done: DoneOption = False,
    name: NameOption = "annotated",
) -> int:
    """Data sets of a workspace's images and masks, in the form that 'bedside train --data DIR' takes.

    Objects of one name are one structure; where none has a name of its own they are instances. Give masks that you
    checked, with --done.
    """
    from bedside.worklist.training import prepare_training

    if output is None:
        raise InputError("-o", expected="a folder to write to", got="none")
    with opened_workspace(workspace) as work:
        outcome = prepare_training(work, chosen(work, folder, done), output, name=name)
    return tell(outcome, f"in {output}")

"""``bedside weights``: what is known of the models' weights, and bringing in those of others."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from bedside.cli.calibrate import calibrate
from bedside.cli.precisions import precisions
from bedside.cli.record_metrics import record_metrics
from bedside.cli.repack import repack
from bedside.core.errors import DependencyError, InputError

if TYPE_CHECKING:
    from bedside.weights.store import WeightsFiles

weights = typer.Typer(name="weights", add_completion=False, rich_markup_mode=None)
weights.command(short_help="Fit estimates of quality on labelled images.")(calibrate)
weights.command(short_help="Measure fp32, bf16 and int8.")(precisions)
weights.command(short_help="Keep results with the weights.")(record_metrics)
weights.command(short_help="Store weights in another precision.")(repack)


@weights.callback(invoke_without_command=True)
def about(context: typer.Context) -> None:
    """List the weights of models, installed and available, and bring in those that others publish."""
    if context.invoked_subcommand is None:
        from bedside.cli.models import table
        from bedside.cli.weights_table import HEADINGS, weights_rows

        print("\n".join(table([HEADINGS, *weights_rows()])))


@weights.command(short_help="List the tensors of a checkpoint.")
def keys(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Model, as 'bedside models' lists it.")],
) -> None:
    """Print name and shape of everything that a checkpoint of the model holds, one a line."""
    from bedside.weights.models import model_card

    # Before torch, which takes a second to import, so that a misspelt name is rejected at once.
    model_card(name)
    try:
        from bedside.weights.keys import key_lines, skeleton
    except ModuleNotFoundError as error:
        raise DependencyError(
            f"listing the keys of '{name}' needs torch", fix="install it with: pip install 'bedside[train]'"
        ) from error
    print("\n".join(key_lines(skeleton(name))))


NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Model, as 'bedside models' lists it.")]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Where the converted files go; else your own weights.")
]
VariantOption = Annotated[
    str, typer.Option("--variant", metavar="NAME", help="Which of a model's sets of weights; else its first.")
]
ClipOption = Annotated[
    Path | None, typer.Option("--clip", metavar="DIR", help="Folder of PubMedCLIP, which mcp-medsam needs.")
]
PrecisionOption = Annotated[
    str, typer.Option("--precision", help="How numbers are stored: float16, or float32 at twice the size.")
]


@weights.command("import", short_help="Convert weights fetched by hand.")
def import_weights(
    name: NameArgument,
    source: Annotated[
        Path, typer.Argument(metavar="FILE_OR_DIR", help="Checkpoint as it is published, or the folder that holds it.")
    ],
    out: OutOption = None,
    variant: VariantOption = "",
    precision: PrecisionOption = "float16",
    clip: ClipOption = None,
) -> None:
    """Convert weights that were fetched by hand, after checking that they are what they say."""
    from bedside.weights.models import model_card

    # Before torch, which takes a second to import, so that a misspelt name is rejected at once.
    model_card(name)
    if not source.exists():
        raise InputError(f"weights of '{name}'", expected="an existing file or folder", got=f"'{source}'")
    _convert(name, source, out, variant, precision, "fetched by hand", clip)


@weights.command(short_help="Fetch published weights.")
def pull(
    name: NameArgument,
    mirror: Annotated[
        str | None,
        typer.Option("--from", metavar="DIR_OR_URL", help="Where copies are kept; else $BEDSIDE_WEIGHTS_MIRROR."),
    ] = None,
    out: OutOption = None,
    variant: VariantOption = "",
    precision: PrecisionOption = "float16",
    clip: ClipOption = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Agree to the licence of weights that sets conditions of use.")
    ] = False,
) -> None:
    """Fetch published weights, going on where an earlier attempt stopped, and convert them."""
    from rich.console import Console

    from bedside.cli.weights_table import download_bar
    from bedside.weights.catalogue import sources_of
    from bedside.weights.licence import TERMS, licence_notice
    from bedside.weights.models import model_card
    from bedside.weights.pull import fetch_source
    from bedside.weights.store import bundled_names

    card = model_card(name)
    if variant and variant not in card.variants:
        expected = f"one of {', '.join(card.variants)}" if card.variants else "none"
        raise InputError(f"variant of '{name}'", expected=expected, got=f"'{variant}'")
    sources = sources_of(name, variant)
    if not sources:
        bundled = name in bundled_names()
        raise InputError(
            f"weights of '{name}'" + (f", variant {variant}" if variant else ""),
            expected="a known place to pull them from",
            got="none; they come with the package" if bundled else f"none; they are of {card.source}",
            fix=None if bundled else f"fetch them by hand, then run: bedside weights import {name} FILE_OR_DIR",
        )
    if sources[0].licence in TERMS and not accept_licence:
        raise InputError(
            licence_notice(name, sources[0].licence),
            expected="agreement before they are fetched",
            got="none",
            fix=f"if you agree, run: bedside weights pull {name} --accept-licence; or fetch them by hand from "
            f"{sources[0].page} and run: bedside weights import {name} FILE_OR_DIR",
        )
    with download_bar(Console(stderr=True), sources[0].file) as advance:
        fetched = fetch_source(sources[0], mirror, advance)
    _convert(name, fetched.path, out, variant, precision, f"pulled from {fetched.origin}", clip)
    if fetched.temporary and fetched.path.is_dir():
        shutil.rmtree(fetched.path)
    elif fetched.temporary:
        fetched.path.unlink()


@weights.command(short_help="Make an int8 graph of a model.")
def quantise(
    name: NameArgument,
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Labelled images, as 'evaluate' takes them.")],
    samples: Annotated[int, typer.Option("--samples", help="Most inputs used for calibration.")] = 128,
    objects: Annotated[int, typer.Option("--objects", help="Most objects of a case.")] = 5,
    sets: Annotated[list[str] | None, typer.Option("--set", help="Data set, may be repeated. [default: all]")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write it even if it loses more than 0.3 DSC points.")] = False,
) -> None:
    """Make an int8 graph of a model, and say what it costs in DSC on images that did not take part."""
    from bedside.cli.models import table
    from bedside.cli.stages import busy
    from bedside.data.catalogue import find_data_sets, select_data_sets
    from bedside.evaluate.quantised import LARGEST_LOSS, quantise_model
    from bedside.weights.models import model_card

    model_card(name)
    if samples < 1:
        raise InputError("--samples", expected="at least 1", got=samples)
    chosen = select_data_sets(find_data_sets(data), sets or [])
    with busy(f"quantising {name}"):
        found = quantise_model(name, chosen, samples=samples, objects=objects, force=force)
    rows = [
        (c.set_name or "mean over sets", f"{c.before:.4f}", f"{c.after:.4f}", f"{-c.loss:+.4f}") for c in found.changes
    ]
    print("\n".join(table([("set", "DSC before", "after", "change"), *rows], right=(1, 2, 3))))
    if found.path is None:
        raise InputError(
            f"int8 graph of '{name}' was not written",
            expected=f"a loss of {LARGEST_LOSS} DSC at most",
            got=f"{found.changes[-1].loss:.4f}",
            fix="--force writes it all the same",
        )
    print(found.path)


def _convert(
    name: str, source: Path, out: Path | None, variant: str, precision: str, origin: str, clip: Path | None
) -> None:
    """Convert published weights, show their licence on stderr, and print the files that were written."""
    from bedside.cli.stages import busy
    from bedside.weights.licence import licence_notice
    from bedside.weights.models import model_card
    from bedside.weights.store import user_folder

    folder, stored = out or user_folder(), cast(Any, precision)
    try:
        with busy(f"converting {source}"):
            if model_card(name).family == "sam":
                from bedside.engines.sam.convert.importing import import_sam

                files = import_sam(name, source, folder, variant=variant, precision=stored, origin=origin, clip=clip)
            else:
                files = _convert_folder(name, source, folder, stored)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "onnx"):
            raise
        raise DependencyError(
            f"importing the weights of '{name}' needs torch and onnx",
            fix="install them with: pip install 'bedside[train]'",
        ) from error
    print(licence_notice(name, files.card.licence), file=sys.stderr)
    for path in files.paths:
        print(path)


def _convert_folder(name: str, source: Path, folder: Path, precision: Any) -> WeightsFiles:
    if name != "nninteractive":
        raise InputError(f"import of '{name}'", expected="nninteractive or a model of the family sam", got=f"'{name}'")
    if not source.is_dir():
        raise InputError(f"weights of '{name}'", expected="a folder", got=f"'{source}'")
    from bedside.engines.nninteractive.convert import convert_nninteractive

    return convert_nninteractive(source, folder, precision=precision)

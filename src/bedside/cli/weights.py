"""``bedside weights``: what is known of the models' weights, and bringing in those of others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from bedside.core.errors import DependencyError, InputError

IMPORTED = ("nninteractive",)
"""Models whose published weights can be brought in."""

weights = typer.Typer(name="weights", add_completion=False, rich_markup_mode=None)


@weights.callback()
def about() -> None:
    """Look into the weights of models, and bring in those that others publish."""


@weights.command()
def keys(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Model, as 'bedside models' lists it.")],
) -> None:
    """Print name and shape of everything that a checkpoint of the model holds, one a line."""
    from bedside.models.registry import model_card

    # Before torch, which takes a second to import, so that a misspelt name is refused at once.
    model_card(name)
    try:
        from bedside.models.keys import key_lines, skeleton
    except ModuleNotFoundError as error:
        raise DependencyError(
            f"listing the keys of '{name}' needs torch", fix="install it with: pip install 'bedside[train]'"
        ) from error
    print("\n".join(key_lines(skeleton(name))))


@weights.command("import")
def import_weights(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Model, as 'bedside models' lists it.")],
    source: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the weights as they are published.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where the converted files go; else your own weights.")
    ] = None,
    precision: Annotated[
        str, typer.Option("--precision", help="How numbers are stored: float16, or float32 at twice the size.")
    ] = "float16",
) -> None:
    """Convert weights that were fetched by hand, after checking that they are what they say."""
    from bedside.cli.stages import busy
    from bedside.models.registry import model_card
    from bedside.weights.licence import licence_notice
    from bedside.weights.store import user_folder

    # Before torch, which takes a second to import, so that a misspelt name is refused at once.
    model_card(name)
    if name not in IMPORTED:
        raise InputError(f"import of '{name}'", expected=f"one of {', '.join(IMPORTED)}", got=f"'{name}'")
    if not source.is_dir():
        raise InputError(f"weights of '{name}'", expected="a folder", got=f"'{source}'")
    try:
        import bedside.runtime.convert as conversion

        with busy(f"converting {source}"):
            files = conversion.convert_nninteractive(source, out or user_folder(), precision=cast(Any, precision))
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "onnx"):
            raise
        raise DependencyError(
            f"importing the weights of '{name}' needs torch and onnx",
            fix="install them with: pip install 'bedside[train]'",
        ) from error
    print(licence_notice(name, files.card.licence), file=sys.stderr)
    for path in (files.tensors, files.graph, files.card_path):
        print(path)

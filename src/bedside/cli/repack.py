"""``bedside weights repack``: the same weights stored in fewer bits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer

from bedside.core.errors import DependencyError, InputError


def repack(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Model of the window family, weights installed.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the files.")],
    precision: Annotated[
        str, typer.Option("--precision", help="How numbers are stored: int8 with a scale a channel, float16, float32.")
    ] = "int8",
) -> None:
    """Write the weights of a model again in another precision; name the folder by $BEDSIDE_WEIGHTS to measure them."""
    from bedside.weights.models import model_card
    from bedside.weights.packed import StoredPrecision
    from bedside.weights.store import find_weights

    if precision not in get_args(StoredPrecision):
        raise InputError("--precision", expected=f"one of {', '.join(get_args(StoredPrecision))}", got=f"'{precision}'")
    if model_card(name).family != "window":
        raise InputError(f"repacking '{name}'", expected="a model of the family window", got=model_card(name).family)
    files = find_weights(name)
    try:
        from bedside.runtime.export import repack_weights

        written = repack_weights(files, out, cast(Any, precision))
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "onnx"):
            raise
        raise DependencyError(
            f"repacking '{name}' needs torch and onnx", fix="install them with: pip install 'bedside[train]'"
        ) from error
    for path in written.paths:
        print(path)

"""``bedside weights``: what is known of the models' weights."""

from __future__ import annotations

from typing import Annotated

import typer

from bedside.core.errors import DependencyError

weights = typer.Typer(name="weights", add_completion=False, rich_markup_mode=None)


@weights.callback()
def about() -> None:
    """Look into the weights of models."""


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

"""The verbs of the command line as a Typer app that imports each of them only when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from bedside import __version__
from bedside.core.errors import InputError

VERBS = {
    "ui": "Open images in the browser, point at objects, correct and save them.",
    "serve": "Answer the clients of other programs: nnInteractive's, MONAI Label's and ITK-SNAP's.",
    "segment": "Segment objects of an image from boxes, points, scribbles, lassos or masks.",
    "batch": "Segment many images from a table of prompts.",
    "convert": "Convert masks between label maps, DICOM SEG and RTSTRUCT.",
    "edit": "Fill, smooth, grow, shrink, combine and clean masks.",
    "surface": "Write surfaces of masks, STL or PLY.",
    "export": "Write what was annotated in the page: for nnU-Net, MONAI, BIDS, and as a table.",
    "pacs": "Find, fetch and store studies in a hospital's archive, and receive what it sends.",
    "evaluate": "Measure models on labelled images, or answers to the challenges.",
    "train": "Train a model.",
    "reproduce": "Do a training again from its manifest, and say whether the same came out.",
    "prepare": "Make training data of folders or of what was annotated, or cases of the challenges.",
    "challenge2024": "Answer a folder of cases of the CVPR 2024 challenge: boxes to label maps.",
    "challenge2025": "Answer a folder of cases of the CVPR 2025 competition: boxes and clicks to label maps.",
    "models": "List the models that Bedside knows.",
    "cache": "Keep embeddings of the SAM family: compute before, list, prune, verify.",
    "weights": "Look into the weights of models, and bring in those that others publish.",
    "info": "Show this machine, the runtimes, models and formats, or the images at a path.",
}
"""Each verb with its line in the help.

A verb is a function of that name in ``bedside.cli.<verb>``, or a Typer app where it has verbs of its own.
"""

# Typer carries Click under a private name, and older ones import it: the base of usage errors has no stable home.
_USAGE_ERROR: type[Any] = typer.BadParameter.__mro__[2]


class LazyVerbs(TyperGroup):
    """A group that imports a verb's module only to run it or to show its own help."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # noqa: ARG002
        """Return the verbs, in the order of the help."""
        return list(VERBS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]  # noqa: ARG002
        """Return the command of a verb, made from its function or app.

        Raises:
            InputError: There is no such verb.
        """
        if cmd_name not in VERBS:
            close = get_close_matches(cmd_name, VERBS, n=1)
            raise InputError(
                "unknown command",
                expected=f"one of {', '.join(VERBS)}",
                got=f"'{cmd_name}'",
                fix=f"did you mean '{close[0]}'?" if close else None,
            )
        module = importlib.import_module(f"bedside.cli.{cmd_name}")
        function = getattr(module, cmd_name)
        if isinstance(function, typer.Typer):
            return _without_types(typer.main.get_command(function))
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(cmd_name, **getattr(module, "SETTINGS", {}))(function)
        return _without_types(typer.main.get_command(single))

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # noqa: ARG002
        """Write the help's list of verbs without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


TYPES = {"path": "PATH", "str": "TEXT", "int": "N", "float": "X"}
"""What help calls the value of an option, by the type that Typer shows."""


def _without_types(command: Any) -> Any:
    """Show arguments by their names alone and values of options by a word: Python's types tell a user nothing.

    What is to be a path takes no URL: of "s3://bucket/out" a folder called "s3:" would be made.
    """
    for parameter in command.params:
        argument = parameter.param_type_name == "argument"
        parameter.display_type = partial(_plain_type, parameter.display_type, "" if argument else None)
        if "pathlib.Path" in repr(parameter.type_descriptor.annotation):
            name = parameter.metavar if argument else parameter.opts[-1]
            parameter.process_value = partial(_on_this_machine, parameter.process_value, name)
    for inner in getattr(command, "commands", {}).values():
        _without_types(inner)
    return command


def _on_this_machine(process: Callable[[Any, Any], Any], name: str, context: Any, value: Any) -> Any:
    """Return the value of a path as the command gets it.

    Raises:
        InputError: It is a URL.
    """
    for text in [value] if isinstance(value, str) else value if isinstance(value, list | tuple) else []:
        if isinstance(text, str) and "://" in text:
            raise InputError(name, expected="a path on this machine", got=text, fix="copy it first or afterwards")
    return process(context, value)


def _plain_type(typed: Callable[[Any], str], instead: str | None, context: Any) -> str:
    if instead is not None:
        return instead
    name = typed(context).strip("<>")
    return TYPES.get(name.removeprefix("list[").removesuffix("]"), f"<{name}>")


# Typer's rich help would cost a tenth of a second at every start.
app = typer.Typer(cls=LazyVerbs, add_completion=False, rich_markup_mode=None, invoke_without_command=True)


def show_version() -> None:
    """Print the version."""
    print(f"bedside {__version__}")


def _version_wanted(wanted: bool) -> None:
    if wanted:
        show_version()
        raise typer.Exit


@app.callback()
def bedside(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", callback=_version_wanted, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Promptable segmentation of medical images, 2D and 3D, on a laptop CPU. Not a medical device."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def invoke(arguments: Sequence[str], application: typer.Typer = app, program: str = "bedside") -> int:
    """Run the verb of ``application`` that ``arguments`` name.

    Returns:
        The exit status that the verb asks for.

    Raises:
        InputError: The arguments do not fit the verb's options.
    """
    try:
        status = typer.main.get_command(application).main(list(arguments), prog_name=program, standalone_mode=False)
    except _USAGE_ERROR as error:
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else program
        message = error.format_message().rstrip(".")
        raise InputError(message[:1].lower() + message[1:], fix=f"see '{path} --help'") from error
    return status if isinstance(status, int) else 0

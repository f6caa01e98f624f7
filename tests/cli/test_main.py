from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import bedside
from bedside.cli import app, inventory
from bedside.cli.app import VERBS
from bedside.cli.main import execute
from bedside.core.errors import InputError, ToldError


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_the_version_and_the_help(cli: Callable[..., Any]) -> None:
    assert cli("--version") == (0, f"bedside {bedside.__version__}\n", "")
    for arguments in ([], ["--help"]):
        status, out, err = cli(*arguments)
        assert (status, err) == (0, "")
        assert all(verb in out for verb in app.VERBS)


@pytest.mark.parametrize("verb", app.VERBS)
def test_every_verb_shows_its_own_help(cli: Callable[..., Any], verb: str) -> None:
    status, out, err = cli(verb, "--help")
    assert (status, err) == (0, "")
    assert f"bedside {verb}" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["segmnt"], "did you mean 'segment'?"),
        (
            ["frobnicate"],
            f"unknown command: expected one of {', '.join(app.VERBS)}, got 'frobnicate'",
        ),
        (["--frobnicate"], "no such option: --frobnicate"),
        (["segment"], "missing argument 'IMAGE'; see 'bedside segment --help'"),
        (["segment", "a.png"], "missing option"),
        (["segment", "a.png", "-o"], "argument"),
        (["segment", "a.png", "-o", "b.png", "--frame", "moon"], "'--frame'"),
        (["segment", "a.png", "-o", "b.png", "--device", "tpu"], "'--device'"),
        (["segment", "a.png", "-o", "b.png", "--volume", "x"], "'--volume'"),
        (["info", "--frobnicate"], "see 'bedside info --help'"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(cli: Callable[..., Any], arguments: list[str], message: str) -> None:
    status, out, err = cli(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("bedside: error: ")
    assert err.count("\n") == 1
    assert message in err


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def print_inventory(as_json: bool) -> None:
        raise error

    monkeypatch.setattr(inventory, "print_inventory", print_inventory)


def test_an_interruption_is_one_line_and_exit_130(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, KeyboardInterrupt())
    assert cli("info") == (130, "", "bedside: interrupted\n")


def test_an_interruption_within_typer_is_the_same(
    cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def perform(job: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bedside.cli.segment.perform", perform)
    assert cli("segment", "a.png", "-o", "b.png") == (130, "", "bedside: interrupted\n")


def test_an_error_of_the_users_disk_is_one_line(cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/full/mask.nii"))
    assert cli("info") == (2, "", "bedside: error: No space left on device: /full/mask.nii\n")


@pytest.mark.parametrize("error", [RuntimeError("a bug"), OSError(errno.EBADF, "a bug")])
def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    raising(monkeypatch, error)
    with pytest.raises(type(error), match="a bug"):
        execute(["info"])


@pytest.mark.parametrize(("cause", "status"), [(KeyboardInterrupt(), 130), (InputError("batch"), 2)])
def test_what_another_process_has_said_is_not_said_again(
    capsys: pytest.CaptureFixture[str], cause: BaseException, status: int
) -> None:
    def fail(_: list[str]) -> int:
        raise ToldError("said") from cause

    assert execute(["train"], fail) == status
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_goes_away_is_no_error() -> None:
    code = "import sys; from bedside.cli.main import execute; sys.exit(execute(['info']))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), errors) == (141, b"")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["segment", "--help"]])
def test_the_start_is_light(arguments: list[str]) -> None:
    heavy = ["torch", "openvino", "numpy", "onnxruntime", "SimpleITK", "nibabel", "pydicom", "rich"]
    code = (
        f"import sys; from bedside.cli.main import execute; status = execute({arguments!r}); "
        f"print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr); sys.exit(status)"
    )
    result = python(code)
    assert (result.returncode, result.stderr) == (0, "[]\n")


def test_info_loads_no_runtime_and_no_format_library() -> None:
    heavy = [
        "torch",
        "openvino",
        "onnxruntime",
        "SimpleITK",
        "nibabel",
        "pydicom",
        "typer",
        "pydantic",
        "rich",
        "scipy",
    ]
    code = (
        "import sys; from bedside.cli.main import execute; status = execute(['info', '--json']); "
        f"print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr); sys.exit(status)"
    )
    result = python(code)
    assert (result.returncode, result.stderr) == (0, "[]\n")


def test_the_installed_command_runs() -> None:
    command = Path(sys.executable).with_name("bedside")
    if not command.exists():
        pytest.skip("the package is not installed with its command")
    result = subprocess.run([command, "segment", "no.png"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.startswith("bedside: error: missing option")


@pytest.mark.parametrize("verb", [[verb] for verb in VERBS] + [["weights", name] for name in ("pull", "import")])
def test_help_is_whole_sentences(verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert execute([*verb, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "..." not in shown.replace("[ARGS]...", "").replace("[PATH]...", "").replace(", ...", "")
    assert "list[" not in shown
    assert "<path>" not in shown


def parameters(command: Any) -> Iterator[Any]:
    yield from command.params
    for inner in getattr(command, "commands", {}).values():
        yield from parameters(inner)


@pytest.mark.parametrize("verb", VERBS)
def test_no_path_of_any_verb_is_a_url(verb: str) -> None:
    command = typer.main.get_command(app.app).get_command(None, verb)
    paths = [p for p in parameters(command) if "pathlib.Path" in repr(p.type_descriptor.annotation)]
    for parameter in paths:
        with pytest.raises(InputError, match="expected a path on this machine, got s3://bucket/name"):
            parameter.process_value(None, ["a", "s3://bucket/name"] if parameter.nargs != 1 else "s3://bucket/name")
    assert paths or verb in ("models", "info")

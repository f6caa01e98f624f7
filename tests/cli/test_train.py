from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bedside.train.run
from bedside.cli import train
from bedside.data.store import Item, ItemInfo, write_store


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What is asked of the trainer, which does nothing."""
    found: list[dict[str, Any]] = []

    def record(recipe: str, data: Path, out: Path, **options: Any) -> None:
        options["report"]("step 1/2  [of] loss 0.5")
        options["advance"](1, 2)
        found.append({"recipe": recipe, "data": data, "out": out, **options})

    monkeypatch.setattr(bedside.train.run, "run_training", record)
    return found


@pytest.fixture
def data(tmp_path: Path) -> Path:
    maps = np.zeros((1, 40, 40), dtype=np.uint16)
    maps[0, 10:30, 8:28] = 1
    image = (maps[0] * 100 + np.random.default_rng(0).integers(0, 30, (40, 40))).astype(np.uint8)
    info = ItemInfo("made/0", "made", "image", "made", None, ("label",))
    write_store(tmp_path / "data", [Item(info, image, maps, np.array([[0, 1, 400, 10, 8, 30, 28]], dtype=np.int32))])
    return tmp_path / "data"


def test_options_reach_the_trainer(cli: Callable[..., Any], calls: list[dict[str, Any]]) -> None:
    arguments = ["train", "bedside-2d", "--data", "d", "--out", "o", "--steps", 7, "--minutes", 1.5, "--device", "cpu"]
    arguments += ["--memory", 4, "--threads", 2, "--initial", "bundled", "--restart"]
    arguments += ["--set", "sampling.grid=64", "--set", "held_out=[a, b]", "--set", "steps=9"]
    assert cli(*arguments) == (0, "step 1/2  [of] loss 0.5\n", "")
    (call,) = calls
    assert {k: v for k, v in call.items() if k not in ("report", "advance")} == {
        "recipe": "bedside-2d",
        "data": "d",
        "out": Path("o"),
        "overrides": {"sampling.grid": 64, "held_out": ["a", "b"], "steps": 7},
        "device": "cpu",
        "minutes": 1.5,
        "memory_gb": 4.0,
        "threads": 2,
        "initial": "bundled",
        "restart": True,
    }


def test_defaults(cli: Callable[..., Any], calls: list[dict[str, Any]]) -> None:
    assert cli("train", "bedside-2d", "--data", "d", "--out", "o").status == 0
    (call,) = calls
    assert (call["overrides"], call["device"], call["initial"], call["restart"]) == ({}, "auto", None, False)
    assert call["minutes"] is call["memory_gb"] is call["threads"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bedside-3"], "unknown recipe: expected one of"),
        (["bedside-2d", "--set", "stepz=3"], "unknown training setting"),
        (["bedside-2d", "--set", "steps"], "setting: expected name=value, got 'steps'"),
        (["bedside-2d", "--set", "steps=many"], "training setting steps: expected int, got 'many'"),
        (["bedside-2d", "--set", "steps=["], "value of steps: expected YAML"),
        (["bedside-2d", "--steps", "0"], "training setting steps: expected at least 1"),
        (["bedside-2d", "--steps", "x"], "'--steps'"),
        (["bedside-2d", "--device", "tpu"], "device: expected one of auto, cpu, cuda, got 'tpu'"),
        (["bedside-2d", "--minutes", "-1"], "minutes: expected more than 0"),
        (["bedside-2d", "--initial", "x"], "starting weights: expected bundled, none or a safetensors file"),
        (["bedside-2d"], "data folder: expected an existing folder"),
        ([], "missing argument 'RECIPE'"),
    ],
)
def test_wrong_names_and_values_are_one_line(
    cli: Callable[..., Any], tmp_path: Path, arguments: list[str], message: str
) -> None:
    out = tmp_path / "out"
    status, _, err = cli("train", *arguments, "--data", tmp_path / "none", "--out", out)
    assert status == 2
    assert err.startswith("bedside: error: ")
    assert err.count("\n") == 1
    assert message in err
    assert not out.exists()


def test_without_torch_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; from bedside.cli.main import execute; "
        "sys.exit(execute(['train', 'bedside-2d', '--data', 'd', '--out', 'o']))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    message = "bedside: error: training needs torch; install it with: pip install 'bedside[train]'\n"
    assert (result.returncode, result.stderr) == (2, message)


def test_the_help_is_light() -> None:
    code = (
        "import sys; from bedside.cli.main import execute; status = execute(['train', '--help']); "
        "print([m for m in ('torch', 'numpy', 'yaml', 'rich') if m in sys.modules], file=sys.stderr); sys.exit(status)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "[]\n")


def test_a_terminal_gets_a_bar(
    calls: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys.stdout, "isatty", lambda: True)
        train.train("bedside-2d", Path("d"), Path("o"))
    out = capsys.readouterr().out
    assert "step 1/2  [of] loss 0.5" in out
    assert "training" in out


TINY = ["sampling.grid=32", "coarse_share=0", "batch=1", "workers=0", "held_out=[]", "validate_every=50", "log_every=1"]


def test_a_training_and_its_going_on(cli: Callable[..., Any], data: Path, tmp_path: Path) -> None:
    settings = [word for setting in TINY for word in ("--set", setting)]
    arguments = ["train", "bedside-2d", "--data", data, "--out", tmp_path / "out", "--device", "cpu", *settings]
    status, out, err = cli(*arguments, "--steps", 3, "--minutes", 1e-9)
    assert (status, err) == (0, "")
    assert "step 1/3  loss" in out
    assert "step 2/3" not in out
    status, out, err = cli(*arguments, "--steps", 3)
    assert (status, err) == (0, "")
    assert "going on from step 1 of 3\n" in out
    assert "step 3/3  loss" in out
    assert (tmp_path / "out" / "weights" / "bedside-2d.onnx").is_file()


@pytest.mark.slow
def test_ctrl_c_leaves_a_checkpoint_and_130(data: Path, tmp_path: Path) -> None:
    settings = [word for setting in TINY for word in ("--set", setting)]
    arguments = ["train", "bedside-2d", "--data", data, "--out", tmp_path / "out", "--device", "cpu", *settings]
    code = "from bedside.cli.main import run; run()"
    command = [sys.executable, "-c", code, *map(str, arguments), "--set", "workers=1", "--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("step 2/"):
                break
        process.send_signal(2)
        out, err = process.communicate()
    assert process.returncode == 130
    assert err.splitlines()[-1] == "bedside: interrupted"
    assert "Traceback" not in err
    assert "stopped at step" in out
    assert (tmp_path / "out" / "checkpoint.pt").is_file()

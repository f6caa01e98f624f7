"""What runs the server as a service: what can be checked without a container runtime and without systemd running."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from bedside.cli.app import app

ROOT = Path(__file__).parents[1]
CONTAINER, UNIT = ROOT / "deploy" / "Containerfile", ROOT / "deploy" / "bedside.service"


def _of_the_container() -> list[str]:
    found = re.search(r"^ENTRYPOINT (\[.*\])$", CONTAINER.read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    return [str(word) for word in json.loads(found[1])]


def _of_the_unit() -> list[str]:
    found = re.search(r"^ExecStart=(.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    return shlex.split(found[1])


@pytest.mark.parametrize("words", [_of_the_container(), _of_the_unit()], ids=["container", "unit"])
def test_the_command_is_one_that_there_is_and_asks_for_a_token(words: list[str]) -> None:
    assert (Path(words[0]).name, words[1]) == ("bedside", "serve")
    group = get_command(app)
    with group.make_context("bedside", words[1:], resilient_parsing=True) as context:
        command = group.get_command(context, "serve")  # type: ignore[attr-defined]
    with command.make_context("serve", words[2:]) as context:
        given = context.params
    assert given["token_file"] is not None
    assert (given["host"], given["port"], given["log_json"]) == ("0.0.0.0", 1527, True)


def test_everything_that_is_copied_into_the_container_exists() -> None:
    text = CONTAINER.read_text(encoding="utf-8")
    copied = [name for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for name in line.split()[:-1]]
    assert copied
    assert all((ROOT / name).exists() for name in copied)
    assert re.search(r"^USER bedside$", text, re.MULTILINE)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8")
    unit.write_text(text.replace(_of_the_unit()[0], shutil.which("true") or "/bin/true"), encoding="utf-8")
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    # Other units of the machine are looked at, too.
    assert not [line for line in done.stderr.splitlines() if UNIT.name in line], done.stderr

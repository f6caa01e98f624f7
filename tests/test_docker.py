"""The challenges' containers: what can be checked without building them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from bedside.cli.app import VERBS

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"


@pytest.mark.parametrize("script", sorted(DOCKER.glob("*/predict.sh")), ids=lambda p: p.parent.name)
def test_predict_runs_the_verb_of_its_folder(script: Path, tmp_path: Path) -> None:
    stand_in = tmp_path / "bedside"
    stand_in.write_text('#!/bin/sh\necho "$@"\n')
    stand_in.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(["sh", script], capture_output=True, text=True, check=True, env=environment)
    verb, inputs, outputs, *_ = done.stdout.split()
    assert verb == script.parent.name
    assert verb in VERBS
    assert (inputs, outputs) == ("/workspace/inputs", "/workspace/outputs")


def test_everything_that_is_copied_exists() -> None:
    text = (DOCKER / "Dockerfile").read_text(encoding="utf-8").replace("${CHALLENGE}", "2024")
    copied = [name for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE) for name in line.split()[:-1]]
    assert copied
    assert all((ROOT / name).exists() for name in copied)

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image as Picture

from bedside.cli.main import execute
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io import write_image

ROOT = Path(__file__).parents[2]


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs a command line in this process; what processes that it starts print is caught, too."""

    def call(*arguments: object) -> Outcome:
        status = execute([str(a) for a in arguments])
        captured = capfd.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[str]]:
    """Starts a command line in a process of its own, at the head of its own group."""

    def call(*arguments: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "bedside", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), *sys.path])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return call


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A folder of pictures ``p0.png`` to ``p3.png`` with two discs each and a small ``scan.nii.gz``."""
    folder = tmp_path / "study"
    folder.mkdir()
    y, x = np.ogrid[:96, :128]
    for number in range(4):
        discs = ((y - 30 - 3 * number) ** 2 + (x - 40) ** 2 < 14**2) | ((y - 66) ** 2 + (x - 92) ** 2 < 12**2)
        noise = np.random.default_rng(number).normal(0, 8, discs.shape)
        Picture.fromarray((70 + 100 * discs + noise).clip(0, 255).astype(np.uint8)).save(folder / f"p{number}.png")
    volume = np.zeros((12, 48, 48), np.int16)
    volume[3:9, 14:30, 16:34] = 400
    geometry = Geometry.create(volume.shape, (0.8, 0.8, 3.0), (-10.0, 20.0, 5.0))
    write_image(folder / "scan.nii.gz", Image(volume, geometry))
    return folder


@pytest.fixture
def table(study: Path) -> Callable[..., Path]:
    """Writes rows, each a dictionary, as ``manifest.jsonl`` in the study."""

    def write(*rows: dict[str, Any], name: str = "manifest.jsonl") -> Path:
        path = study / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    return write

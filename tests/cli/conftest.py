from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Picture

import bedside.engines
from bedside.cli.main import execute
from bedside.core.geometry import Geometry
from bedside.core.image import Image
from bedside.io import write_image
from bedside.weights.models import model_card


def _module(path: Path) -> Any:
    # Test folders are no packages (import mode importlib), so a shared helper is loaded by its path.
    name = f"_bedside_tests_{path.stem}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Runs a command line in this process."""

    def call(*arguments: object) -> Outcome:
        status = execute([str(a) for a in arguments])
        captured = capsys.readouterr()
        return Outcome(status, captured.out, captured.err)

    return call


@pytest.fixture
def grower(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The region grower in place of every model."""
    grower_class = _module(Path(__file__).parents[1] / "session" / "region_grower.py").RegionGrower
    instance = grower_class()

    def load(name: str, device: str = "auto", **options: Any) -> Any:
        del options
        model_card(name)
        instance.name = name
        instance.device = device
        return instance

    monkeypatch.setattr(bedside.engines, "load_segmenter", load, raising=False)
    return instance


@pytest.fixture
def squares() -> NDArray[np.uint8]:
    """Two bright squares, of 10 x 10 and 8 x 8 pixels, on a dark ground of 40 rows and 60 columns."""
    array = np.full((40, 60), 20, dtype=np.uint8)
    array[5:15, 10:20] = 200
    array[25:33, 40:48] = 120
    return array


@pytest.fixture
def picture(tmp_path: Path, squares: NDArray[np.uint8]) -> Path:
    path = tmp_path / "picture.png"
    Picture.fromarray(squares).save(path)
    return path


@pytest.fixture
def scan(tmp_path: Path) -> Path:
    """A volume of 12 slices with a bright block, 0.5 x 0.5 x 3 mm, away from the world's origin."""
    array = np.zeros((12, 16, 20), dtype=np.int16)
    array[4:9, 5:10, 6:12] = 300
    path = tmp_path / "scan.nii.gz"
    write_image(path, Image(array, Geometry.create(array.shape, (0.5, 0.5, 3.0), (-10.0, 20.0, 5.0))))
    return path

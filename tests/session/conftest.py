from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray


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


@pytest.fixture
def grower_class() -> Any:
    return _module(Path(__file__).parent / "region_grower.py").RegionGrower


@pytest.fixture
def grower(grower_class: Any) -> Any:
    return grower_class()


@pytest.fixture
def squares() -> NDArray[np.uint8]:
    """Two bright squares, of 10 x 10 and 8 x 8 pixels, on a dark ground of 40 rows and 60 columns."""
    array = np.full((40, 60), 20, dtype=np.uint8)
    array[5:15, 10:20] = 200
    array[25:33, 40:48] = 120
    return array
